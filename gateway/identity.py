"""Makes the header fields that tell a backend who is calling, only from the facts.

A value that a backend could misread (a control character, blanks at the ends that parsers cut off) refuses the request.
It is never repaired: a repaired name may be another caller's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from gateway.authn.claims import claim_at
from gateway.authn.facts import Claims, Facts
from gateway.http.refusal import Refusal, challenge

# The Unicode categories Cc: controls, C1 among them; and Cs: lone surrogates, which have no UTF-8.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LIST_SEPARATOR = ","
# The smallest limit of a whole head among common servers (Tomcat, 8 KiB; Node has 16).
_LARGE_BYTES = 8 * 2**10

Pairs = tuple[tuple[str, str], ...]
HeaderClaims = Mapping[str, tuple[tuple[str, ...], ...]]


@dataclass(frozen=True, slots=True, eq=False)
class IdentityRules:
    """Maps a route's identity headers to the claims that fill them.

    `compile_identity` returns equal rules as one object.
    """

    headers: HeaderClaims


@dataclass(frozen=True, slots=True)
class Identity:
    """Holds the identity's fields, and the same as lines with their ends. `is_large`: many backends refuse so much."""

    pairs: Pairs
    lines: bytes
    is_large: bool = False


NOBODY = Identity((), b"")


@lru_cache(maxsize=256)
def compile_identity(headers: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]) -> IdentityRules:
    return IdentityRules(dict(headers))


class _UnsafeError(Exception):
    """Carries the name of the header, never the value."""


def render(rules: IdentityRules, facts: Facts) -> Identity | Refusal:
    """The identity by `identity_headers`. The facts remember it as long as the same rules are asked for."""
    memo = facts.memo
    if memo.rules is rules:
        made: Identity = memo.made
        return made
    pairs = identity_headers(rules.headers, facts.claims)
    if isinstance(pairs, Refusal):
        return pairs
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs).encode("utf-8", "surrogateescape")
    if not lines.count(b"\n") == lines.count(b"\r") == len(pairs):
        raise ValueError("an identity header has a line end")  # cannot happen; it would become a header of its own
    made = Identity(pairs, lines, len(lines) > _LARGE_BYTES)
    memo.rules, memo.made = rules, made
    return made


def identity_headers(rules: HeaderClaims, claims: Claims) -> Pairs | Refusal:
    """Name and value of each header whose claim is present; texts are sent as UTF-8.

    Of a list of claims the first that gives a value counts. An absent claim, `null`, an empty text or list, and an
    object give no header.
    """
    pairs: list[tuple[str, str]] = []
    try:
        for name, paths in rules.items():
            texts = (_text(name, claim_at(claims, path)) for path in paths)
            if value := next(filter(None, texts), None):
                pairs.append((name, value))
    except _UnsafeError as error:
        detail = "a claim of the token cannot be passed on safely"
        refusal = challenge("unsafe_claim", detail)
        return Refusal(refusal.code, detail, refusal.headers, f"the claim for {error} has an unsafe character")
    return tuple(pairs)


def _text(header: str, value: Any) -> str | None:
    if isinstance(value, list):
        # Escape the separator and the escape character, so that no element can pose as two.
        elements = (_scalar(header, element) for element in value)
        escaped = (e.replace("%", "%25").replace(_LIST_SEPARATOR, "%2C") for e in elements if e)
        return _LIST_SEPARATOR.join(escaped)
    return _scalar(header, value)


def _scalar(header: str, value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    if not isinstance(value, str):
        return None
    # Blanks at the ends do not belong to a field value on the wire (RFC 9110 §5.5): "root " would arrive as "root".
    if value != value.strip(" ") or _UNSAFE.search(value):
        raise _UnsafeError(header)
    return value
