"""Makes the header fields that tell a backend who is calling, only from the facts.

Some hold a claim each, one may hold a signed token (`gateway.signed_identity`), one the whole answer. A value that a
backend could misread (a control character, blanks at the ends that parsers cut off) refuses the request. It is never
repaired: a repaired name may be another caller's.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from gateway.authn.claims import claim_at
from gateway.authn.facts import Claims, Facts
from gateway.config.identity_key import base64url
from gateway.http.bounded_memo import keep_at_most
from gateway.http.refusal import Refusal, challenge
from gateway.signed_identity import IdentityTokenRules, SignedIdentity, signed_identity

# The Unicode categories Cc: controls, C1 among them; and Cs: lone surrogates, which have no UTF-8.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LIST_SEPARATOR = ","
# The smallest limit of a whole head among common servers (Tomcat, 8 KiB; Node has 16).
_LARGE_BYTES = 8 * 2**10
# A header of its own that is larger would be refused by most backends, together with the request.
_ANSWER_BYTES_MAX = 8 * 2**10
# A token is seldom used on more routes with tokens of their own; a reload makes new rules.
_SIGNED_MAX = 16

Pairs = tuple[tuple[str, str], ...]
HeaderClaims = Mapping[str, tuple[tuple[str, ...], ...]]


@dataclass(frozen=True, slots=True, eq=False)
class IdentityRules:
    """Maps a route's identity headers to the claims that fill them.

    `token` is for the header with a signed token, `answer` the name of the header with the whole answer.
    `compile_identity` returns equal rules as one object.
    """

    headers: HeaderClaims
    token: IdentityTokenRules | None = None
    answer: str | None = None


@dataclass(slots=True, init=False)
class Identity:
    """Holds the identity's fields, and the same as lines with their ends. From `renew_at` on, it is made again.

    `is_large`: many backends refuse so much. `lacks_answer`: the whole answer was too large to be sent. `is_notable`:
    the operator is told of one of the two. Nobody changes it; as with `Facts`, a frozen one would take longer to make.
    """

    pairs: Pairs
    lines: bytes
    is_large: bool
    lacks_answer: bool
    renew_at: float
    is_notable: bool

    def __init__(
        self,
        pairs: Pairs,
        lines: bytes,
        is_large: bool = False,
        lacks_answer: bool = False,
        renew_at: float = math.inf,
        is_notable: bool = False,
    ) -> None:
        self.pairs = pairs
        self.lines = lines
        self.is_large = is_large
        self.lacks_answer = lacks_answer
        self.renew_at = renew_at
        self.is_notable = is_notable


NOBODY: Final = Identity((), b"")


@lru_cache(maxsize=256)
def compile_identity(headers: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]) -> IdentityRules:
    return IdentityRules(dict(headers))


class _UnsafeError(Exception):
    """Carries the name of the header, never the value."""


def render(rules: IdentityRules, facts: Facts, now: float) -> Identity | Refusal:
    """The identity by `rules`. The facts remember it as long as the same rules are asked for."""
    memo = facts.memo
    if memo.rules is rules:
        known: Identity = memo.made
        if now < known.renew_at:
            return known
    pairs = identity_headers(rules.headers, facts.claims)
    if isinstance(pairs, Refusal):
        return pairs
    made = _made(pairs, math.inf) if rules.token is None and rules.answer is None else _more(rules, facts, pairs, now)
    memo.rules, memo.made = rules, made
    return made


def _more(rules: IdentityRules, facts: Facts, pairs: Pairs, now: float) -> Identity:
    """The identity with its signed token and the whole answer, as far as the rules want them."""
    renew_at, lacks_answer = math.inf, False
    if rules.token is not None:
        signed = _signed(rules.token, facts, now)
        pairs, renew_at = (*pairs, (rules.token.header, signed.text)), signed.renew_at
    if rules.answer is not None:
        answer = base64url(json.dumps(dict(facts.claims), separators=(",", ":")).encode())
        lacks_answer = len(answer) > _ANSWER_BYTES_MAX
        pairs = pairs if lacks_answer else (*pairs, (rules.answer, answer))
    return _made(pairs, renew_at, lacks_answer=lacks_answer)


def _signed(rules: IdentityTokenRules, facts: Facts, now: float) -> SignedIdentity:
    """Sign once for the facts and the route: the facts remember the tokens of several routes."""
    memo = facts.memo
    known = memo.signed
    if known is None:
        known = memo.signed = {}
    signed: SignedIdentity | None = known.get(rules)
    if signed is None or now >= signed.renew_at:
        signed = signed_identity(rules, facts, now)
        keep_at_most(_SIGNED_MAX, known, rules, signed)
    return signed


def _made(pairs: Pairs, renew_at: float, *, lacks_answer: bool = False) -> Identity:
    lines = "".join([f"{name}: {value}\r\n" for name, value in pairs]).encode("utf-8", "surrogateescape")
    if not lines.count(b"\n") == lines.count(b"\r") == len(pairs):
        raise ValueError("an identity header has a line end")  # cannot happen; it would become a header of its own
    is_large = len(lines) > _LARGE_BYTES
    return Identity(pairs, lines, is_large, lacks_answer, renew_at, is_large or lacks_answer)


def identity_headers(rules: HeaderClaims, claims: Claims) -> Pairs | Refusal:
    """Name and value of each header whose claim is present; texts are sent as UTF-8.

    Of a list of claims the first that gives a value counts. An absent claim, `null`, an empty text or list, and an
    object give no header.
    """
    pairs: list[tuple[str, str]] = []
    try:
        for name, paths in rules.items():
            for path in paths:
                if value := _text(name, claim_at(claims, path)):
                    pairs.append((name, value))
                    break
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
    if value.isascii() and value.isprintable() and not value.startswith(" ") and not value.endswith(" "):
        return value  # what most are, told without the pattern
    # Blanks at the ends do not belong to a field value on the wire (RFC 9110 §5.5): "root " would arrive as "root".
    if value != value.strip(" ") or _UNSAFE.search(value):
        raise _UnsafeError(header)
    return value
