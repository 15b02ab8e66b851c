"""The headers that tell a backend who is calling, made of the facts alone.

A value that could be read as something else (a control character, blanks at the ends that parsers cut off) refuses
the request instead of being repaired: a repaired name may be another caller's.
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
# What the smallest of the common servers takes for a whole head (Tomcat, 8 KiB; Node takes 16).
_LARGE_BYTES = 8 * 2**10

Pairs = tuple[tuple[str, str], ...]
HeaderClaims = Mapping[str, tuple[tuple[str, ...], ...]]


@dataclass(frozen=True, slots=True, eq=False)
class IdentityRules:
    """Which headers a route makes of which claims. `compile_identity` gives equal ones as one object."""

    headers: HeaderClaims


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is calling: as fields, and the same as lines with their ends. `is_large`: many backends refuse as much."""

    pairs: Pairs
    text: str
    is_large: bool = False


NOBODY = Identity((), "")


@lru_cache(maxsize=256)
def compile_identity(headers: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]) -> IdentityRules:
    return IdentityRules(dict(headers))


class _UnsafeError(Exception):
    """Carries the name of the header, never the value."""


def render(rules: IdentityRules, facts: Facts) -> Identity | Refusal:
    """What `identity_headers` says, made once for as long as the same rules are asked for again."""
    memo = facts.memo
    if memo.rules is rules:
        made: Identity = memo.made
        return made
    pairs = identity_headers(rules.headers, facts.claims)
    if isinstance(pairs, Refusal):
        return pairs
    text = "".join(f"{name}: {value}\r\n" for name, value in pairs)
    if not text.count("\n") == text.count("\r") == len(pairs):
        raise ValueError("an identity header has a line end")  # none comes this far; it must not become a header
    made = Identity(pairs, text, len(text.encode("utf-8", "surrogateescape")) > _LARGE_BYTES)
    memo.rules, memo.made = rules, made
    return made


def identity_headers(rules: HeaderClaims, claims: Claims) -> Pairs | Refusal:
    """Name and value of each header whose claim is there; text is to be sent as UTF-8.

    A list of claims means the first that makes a header. No header comes of an absent claim, of `null`, an empty
    text or list, or an object.
    """
    pairs: list[tuple[str, str]] = []
    try:
        for name, paths in rules.items():
            texts = (_text(name, claim_at(claims, path)) for path in paths)
            if value := next(filter(None, texts), None):
                pairs.append((name, value))
    except _UnsafeError as error:
        detail = "a claim of the token can not be passed on safely"
        refusal = challenge("unsafe_claim", detail)
        return Refusal(refusal.code, detail, refusal.headers, f"the claim for {error} has an unsafe character")
    return tuple(pairs)


def _text(header: str, value: Any) -> str | None:
    if isinstance(value, list):
        # The separator and the escape itself are escaped, so that no element can pose as two.
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
    # Blanks at the ends are no part of a field value on the wire (RFC 9110 §5.5): "root " would arrive as "root".
    if value != value.strip(" ") or _UNSAFE.search(value):
        raise _UnsafeError(header)
    return value
