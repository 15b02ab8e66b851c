"""Orders to forget in clear text: the selectors of an event or an operator, before they become tags.

A claim of a token is unique only within a *realm*, the issuer whose subjects, sessions and clients it names: `alice` of
one issuer is not `alice` of another (OpenID Connect Core §2). The keys turn selectors into tags. Processes of one
instance may each have keys of their own, so orders travel in clear between them, over their socket pairs.
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
ClaimName = TokenClaim | Literal["realm"]  # realm: all results of the realm, whatever their claims
_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class ClaimSelector:
    """Selects the results of `realm` whose claim `claim` is `value`; the claim `realm` selects all of them."""

    realm: str
    claim: ClaimName
    value: str


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """Names an event of `realm` that has been acted on, to be remembered for `life_s`."""

    realm: str
    event_id: str
    life_s: float


@dataclass(frozen=True, slots=True)
class Invalidation:
    """Orders to forget all that one of `selectors` selects, and `tokens` at every provider.

    `id` and `is_revocation` are as in `TagPurge`. With `seen` nothing is forgotten: an event is to be remembered. With
    `typed` neither: the access tokens of the provider of that identity have a `token_type`. With `not_before` (wall
    clock) tokens that the selected realms issued earlier are inactive, also when they are first seen later.
    `revoked_at` is as in `TagPurge`.
    """

    id: bytes
    selectors: tuple[ClaimSelector, ...] = ()
    tokens: tuple[Token, ...] = ()
    is_revocation: bool = False
    seen: SeenEvent | None = None
    typed: bytes | None = None
    not_before: float | None = None
    revoked_at: float | None = None


def new_invalidation(
    selectors: Iterable[ClaimSelector] = (),
    token: Token | None = None,
    not_before: float | None = None,
    revoked_at: float | None = None,
) -> Invalidation:
    tokens = () if token is None else (token,)
    return Invalidation(
        secrets.token_bytes(_ID_BYTES), tuple(selectors), tokens, not_before=not_before, revoked_at=revoked_at
    )


def whole_realm(realm: str) -> ClaimSelector:
    return ClaimSelector(realm, "realm", "")


def revoked_elsewhere(tokens: Iterable[Token]) -> Invalidation:
    """Tells the other workers of tokens that a provider has called inactive."""
    return Invalidation(secrets.token_bytes(_ID_BYTES), (), tuple(tokens), is_revocation=True)


def event_seen(seen: SeenEvent) -> Invalidation:
    """Tells the other workers of an event, once all of it is done."""
    return Invalidation(secrets.token_bytes(_ID_BYTES), seen=seen)


def has_token_type(identity: bytes) -> Invalidation:
    """Tells the other workers that the access tokens of a provider have a `token_type`."""
    return Invalidation(secrets.token_bytes(_ID_BYTES), typed=identity)


def selectable(claims: Claims) -> list[tuple[TokenClaim, str]]:
    """The claims by which a result can be selected, beside its realm."""
    found = [(claim, claims.get(claim)) for claim in TOKEN_CLAIMS]
    return [(claim, value) for claim, value in found if isinstance(value, str) and value]


def invalidation_to_json(invalidation: Invalidation) -> dict[str, Any]:
    """For a channel that nobody else reads: selectors and tokens stand there in clear."""
    seen = invalidation.seen
    return {
        "id": invalidation.id.hex(),
        "named": [[one.realm, one.claim, one.value] for one in invalidation.selectors],
        "tokens": [token.value for token in invalidation.tokens],
        "is_no": invalidation.is_revocation,
        "seen": None if seen is None else [seen.realm, seen.event_id, seen.life_s],
        "typed": None if invalidation.typed is None else invalidation.typed.hex(),
        "not_before": invalidation.not_before,
        "revoked_at": invalidation.revoked_at,
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
            revoked_at = read_not_before(value.get("revoked_at"))
            return Invalidation(bytes.fromhex(hex_id), *of_what, is_no, _seen(seen), typed, not_before, revoked_at)
    raise ValueError("not an invalidation")


def _named(value: object) -> ClaimSelector:
    match value:
        case [str(realm), "sub" | "sid" | "jti" | "client_id" | "email" | "realm" as claim, str(text)]:
            return ClaimSelector(realm, claim, text)
    raise ValueError("not an invalidation")


def _token(value: object) -> Token:
    if not isinstance(value, str):
        raise ValueError("not an invalidation")
    return Token(value)


def _seen(value: object) -> SeenEvent | None:
    match value:
        case None:
            return None
        case [str(realm), str(event_id), int() | float() as life_s]:
            return SeenEvent(realm, event_id, life_s)
    raise ValueError("not an invalidation")


def _typed(value: object) -> bytes | None:
    if not isinstance(value, str | None):
        raise ValueError("not an invalidation")
    return None if value is None else bytes.fromhex(value)
