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

ClaimKind = Literal["sub", "sid", "jti", "client_id", "email"]
KINDS: tuple[ClaimKind, ...] = get_args(ClaimKind)
ClaimName = ClaimKind | Literal["realm"]  # the last one: all answers of the realm, whatever their claims
_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class ClaimSelector:
    """All answers of `realm` whose claim `kind` is `value`; with the kind `realm` all of them."""

    realm: str
    kind: ClaimName
    value: str


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """An event of `realm` that has been acted on, to be known again for `life_s`."""

    realm: str
    event_id: str
    life_s: float


@dataclass(frozen=True, slots=True)
class Invalidation:
    """Forget what bears one of `named`, and `tokens` at every provider. `id` and `is_no` as in `TagPurge`.

    With `seen` nothing need be forgotten: an event is to be known. Nor with `typed`: the access tokens of the provider
    of that identity have a `token_type`. With `not_before` what the realms that are named issued earlier is not active,
    also when it is seen for the first time later; it is of the wall clock.
    """

    id: bytes
    named: tuple[ClaimSelector, ...] = ()
    tokens: tuple[Token, ...] = ()
    is_no: bool = False
    seen: SeenEvent | None = None
    typed: bytes | None = None
    not_before: float | None = None


def evict(
    named: Iterable[ClaimSelector] = (), token: Token | None = None, not_before: float | None = None
) -> Invalidation:
    tokens = () if token is None else (token,)
    return Invalidation(secrets.token_bytes(_ID_BYTES), tuple(named), tokens, not_before=not_before)


def everything_of(realm: str) -> ClaimSelector:
    return ClaimSelector(realm, "realm", "")


def revoked_elsewhere(tokens: Iterable[Token]) -> Invalidation:
    """What workers tell each other of tokens that a provider has called inactive."""
    return Invalidation(secrets.token_bytes(_ID_BYTES), (), tuple(tokens), is_no=True)


def was_seen(seen: SeenEvent) -> Invalidation:
    """What workers tell each other of an event, once all of it is done."""
    return Invalidation(secrets.token_bytes(_ID_BYTES), seen=seen)


def has_token_type(identity: bytes) -> Invalidation:
    """What workers tell each other of a provider whose access tokens have been found to have a `token_type`."""
    return Invalidation(secrets.token_bytes(_ID_BYTES), typed=identity)


def selectable(claims: Claims) -> list[tuple[ClaimKind, str]]:
    """Everything in these claims that an answer can be evicted by, beside its realm."""
    found = [(kind, claims.get(kind)) for kind in KINDS]
    return [(kind, value) for kind, value in found if isinstance(value, str) and value]


def invalidation_to_json(eviction: Invalidation) -> dict[str, Any]:
    """For a channel that nobody else reads: what is named, and tokens, stand there in clear."""
    seen = eviction.seen
    return {
        "id": eviction.id.hex(),
        "named": [[one.realm, one.kind, one.value] for one in eviction.named],
        "tokens": [token.value for token in eviction.tokens],
        "is_no": eviction.is_no,
        "seen": None if seen is None else [seen.realm, seen.event_id, seen.life_s],
        "typed": None if eviction.typed is None else eviction.typed.hex(),
        "not_before": eviction.not_before,
    }


def invalidation_from_json(value: Mapping[str, Any]) -> Invalidation:
    """The inverse of `invalidation_to_json`. Raises `ValueError` for anything else."""
    match value:
        case {"id": str(eviction_id), "named": [*named], "tokens": [*tokens], "is_no": bool(is_no), "seen": seen}:
            of_what = tuple(map(_named, named)), tuple(map(_token, tokens))
            not_before = read_not_before(value.get("not_before"))
            typed = _typed(value.get("typed"))
            return Invalidation(bytes.fromhex(eviction_id), *of_what, is_no, _seen(seen), typed, not_before)
    raise ValueError("not an eviction")


def _named(value: object) -> ClaimSelector:
    match value:
        case [str(realm), "sub" | "sid" | "jti" | "client_id" | "email" | "realm" as kind, str(text)]:
            return ClaimSelector(realm, kind, text)
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
