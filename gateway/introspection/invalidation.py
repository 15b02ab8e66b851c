"""What is to be forgotten, in clear: the words of an event or an operator, before they become marks.

A claim of a token is unique within a *realm* alone, the issuer whose subjects, sessions and clients it names: `alice`
of one issuer is not `alice` of another (OpenID Connect Core §2). Marks are made of this where the keys are; between
processes of one instance, which may each have keys of their own, it travels in clear over their socket pairs.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from gateway.authn.bearer import Token
from gateway.authn.facts import Claims
from gateway.introspection.tag_purge import read_not_before

TokenClaim = Literal["sub", "sid", "jti", "client_id", "email"]
TOKEN_CLAIMS: tuple[TokenClaim, ...] = get_args(TokenClaim)
ClaimName = TokenClaim | Literal["realm"]  # the last one: all answers of the realm, whatever their claims
_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class ClaimSelector:
    """All answers of `realm` whose claim `claim` is `value`; with the kind `realm` all of them."""

    realm: str
    claim: ClaimName
    value: str


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """An event of `realm` that has been acted on, to be known again for `life_s`."""

    realm: str
    event_id: str
    life_s: float


@dataclass(frozen=True, slots=True)
class Invalidation:
    """Forget what bears one of `selectors`, and `tokens` at every provider. `id` and `is_revocation` as in `TagPurge`.

    With `seen` nothing need be forgotten: an event is to be known. Nor with `typed`: the access tokens of the provider
    of that identity have a `token_type`. With `not_before` what the realms that are named issued earlier is not active,
    also when it is seen for the first time later; it is of the wall clock.
    """

    id: bytes
    selectors: tuple[ClaimSelector, ...] = ()
    tokens: tuple[Token, ...] = ()
    is_revocation: bool = False
    seen: SeenEvent | None = None
    typed: bytes | None = None
    not_before: float | None = None


def new_invalidation(
    selectors: Iterable[ClaimSelector] = (), token: Token | None = None, not_before: float | None = None
) -> Invalidation:
    tokens = () if token is None else (token,)
    return Invalidation(secrets.token_bytes(_ID_BYTES), tuple(selectors), tokens, not_before=not_before)


def whole_realm(realm: str) -> ClaimSelector:
    return ClaimSelector(realm, "realm", "")


def revoked_elsewhere(tokens: Iterable[Token]) -> Invalidation:
    """What workers tell each other of tokens that a provider has called inactive."""
    return Invalidation(secrets.token_bytes(_ID_BYTES), (), tuple(tokens), is_revocation=True)


def event_seen(seen: SeenEvent) -> Invalidation:
    """What workers tell each other of an event, once all of it is done."""
    return Invalidation(secrets.token_bytes(_ID_BYTES), seen=seen)


def has_token_type(identity: bytes) -> Invalidation:
    """What workers tell each other of a provider whose access tokens have been found to have a `token_type`."""
    return Invalidation(secrets.token_bytes(_ID_BYTES), typed=identity)


def selectable(claims: Claims) -> list[tuple[TokenClaim, str]]:
    """Everything in these claims that an answer can be evicted by, beside its realm."""
    found = [(claim, claims.get(claim)) for claim in TOKEN_CLAIMS]
    return [(claim, value) for claim, value in found if isinstance(value, str) and value]


def invalidation_to_json(invalidation: Invalidation) -> dict[str, Any]:
    """For a channel that nobody else reads: what is named, and tokens, stand there in clear."""
    seen = invalidation.seen
    return {
        "id": invalidation.id.hex(),
        "named": [[one.realm, one.claim, one.value] for one in invalidation.selectors],
        "tokens": [token.value for token in invalidation.tokens],
        "is_no": invalidation.is_revocation,
        "seen": None if seen is None else [seen.realm, seen.event_id, seen.life_s],
        "typed": None if invalidation.typed is None else invalidation.typed.hex(),
        "not_before": invalidation.not_before,
    }


def invalidation_from_json(value: Mapping[str, Any]) -> Invalidation:
    """The inverse of `invalidation_to_json`. Raises `ValueError` for anything else."""
    match value:
        case {
            "id": str(hex_id),
            "named": [*selectors],
            "tokens": [*tokens],
            "is_no": bool(is_no),
            "seen": seen,
        }:
            of_what = tuple(map(_named, selectors)), tuple(map(_token, tokens))
            not_before = read_not_before(value.get("not_before"))
            typed = _typed(value.get("typed"))
            return Invalidation(bytes.fromhex(hex_id), *of_what, is_no, _seen(seen), typed, not_before)
    raise ValueError("not an eviction")


def _named(value: object) -> ClaimSelector:
    match value:
        case [str(realm), "sub" | "sid" | "jti" | "client_id" | "email" | "realm" as claim, str(text)]:
            return ClaimSelector(realm, claim, text)
    raise ValueError("not an eviction")


def _token(value: object) -> Token:
    if not isinstance(value, str):
        raise ValueError("not an eviction")
    return Token(value)


def _seen(value: object) -> SeenEvent | None:
    match value:
        case None:
            return None
        case [str(realm), str(event_id), int() | float() as life_s]:
            return SeenEvent(realm, event_id, life_s)
    raise ValueError("not an eviction")


def _typed(value: object) -> bytes | None:
    if not isinstance(value, str | None):
        raise ValueError("not an eviction")
    return None if value is None else bytes.fromhex(value)
