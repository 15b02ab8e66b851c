"""`balance` of a route: how the backend of a request is chosen among those that are well."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from gateway.config.claim_paths import parse_claim_path
from gateway.config.values import quoted
from gateway.config.wire_values import parse_header_name
from gateway.http.syntax import TCHAR

_COOKIE_NAME = re.compile(rf"[{TCHAR}]{{1,256}}")
_WORDS = ("round_robin", "least_requests")
_INSTEAD = "write round_robin, least_requests or {hash: sub}"


@dataclass(frozen=True, slots=True)
class HashKey:
    """What of a request is hashed: a claim by its path, the caller's address, or a header or cookie by its name."""

    of: Literal["claim", "address", "header", "cookie"]
    name: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.of == "claim":
            return ".".join(self.name)
        return f"{self.of}:{self.name[0]}" if self.name else self.of


@dataclass(frozen=True, slots=True)
class BalanceRule:
    """`key` is there where `by` is `hash`, and nowhere else."""

    by: Literal["round_robin", "least_requests", "hash"]
    key: HashKey | None = None

    def __str__(self) -> str:
        return self.by if self.key is None else f"hash {self.key}"


ROUND_ROBIN = BalanceRule("round_robin")


def parse_balance(value: object) -> BalanceRule:
    """A `BalanceRule` from a word, or from `{hash: KEY}`."""
    if isinstance(value, BalanceRule):
        return value
    if value in _WORDS:
        return BalanceRule("round_robin" if value == "round_robin" else "least_requests")
    if not isinstance(value, dict):
        raise ValueError(f"{quoted(value)} is not a way to choose a backend; {_INSTEAD}")
    if value.keys() != {"hash"}:
        raise ValueError(f"a mapping here has the key hash and no other; {_INSTEAD}")
    return BalanceRule("hash", _hash_key(value["hash"]))


def _hash_key(value: object) -> HashKey:
    if value == "address":
        return HashKey("address")
    if isinstance(value, str) and value.startswith("header:"):
        return HashKey("header", (parse_header_name(value.removeprefix("header:")),))
    if isinstance(value, str) and value.startswith("cookie:"):
        name = value.removeprefix("cookie:")
        if not _COOKIE_NAME.fullmatch(name):
            raise ValueError(f"{quoted(name)} is not a name of a cookie; write one such as cookie:session")
        return HashKey("cookie", (name,))
    return HashKey("claim", parse_claim_path(value))
