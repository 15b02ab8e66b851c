"""Orders to forget, made from what somebody names: a token, a claim, an event. They hold marks and nothing of these."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.authn.bearer import Token
from gateway.authn.eviction import KINDS, Eviction, Named
from gateway.authn.purge import Purge, purge_everything, purge_of
from gateway.authn.source import Source


def purge_of_token(source: Source, token: Token) -> Purge:
    return purge_of(source.marks_of(token))


def purge_of_claims(source: Source, claims: Mapping[str, str | None]) -> Purge:
    """All that bears one of the `claims`, by their `Kind`, at any provider; everything where there is none."""
    named = [(kind, value) for kind in KINDS if (value := claims.get(kind)) is not None]
    if not named:
        return purge_everything()
    realms = {each.realm for each in source.introspectors.values()}
    return purge_of(mark for realm in realms for one in named for mark in source.keys.marks(Named(realm, *one)))


def purge_of_eviction(source: Source, eviction: Eviction) -> Purge:
    """The same order in marks, under the same id."""
    marks = {mark for named in eviction.named for mark in source.keys.marks(named)}
    for token in eviction.tokens:
        marks.update(source.marks_of(token))
    is_of_realms = any(named.kind == "realm" for named in eviction.named)
    return Purge(eviction.id, frozenset(marks), eviction.is_no, eviction.not_before, is_of_realms)
