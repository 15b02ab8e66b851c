"""Orders to forget, made from what somebody names: a token, a claim, an event. They hold marks and nothing of these."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.authn.bearer import Token
from gateway.introspection.fetcher import FactsFetcher
from gateway.introspection.invalidation import KINDS, ClaimSelector, Invalidation
from gateway.introspection.tag_purge import TagPurge, purge_everything, purge_of


def purge_of_token(source: FactsFetcher, token: Token) -> TagPurge:
    return purge_of(source.marks_of(token))


def purge_of_claims(source: FactsFetcher, claims: Mapping[str, str | None]) -> TagPurge:
    """All that bears one of the `claims`, by their `Kind`, at any provider; everything where there is none."""
    named = [(kind, value) for kind in KINDS if (value := claims.get(kind)) is not None]
    if not named:
        return purge_everything()
    realms = {each.realm for each in source.introspectors.values()}
    return purge_of(mark for realm in realms for one in named for mark in source.keys.marks(ClaimSelector(realm, *one)))


def purge_of_invalidation(source: FactsFetcher, eviction: Invalidation) -> TagPurge:
    """The same order in marks, under the same id."""
    marks = {mark for named in eviction.named for mark in source.keys.marks(named)}
    for token in eviction.tokens:
        marks.update(source.marks_of(token))
    is_of_realms = any(named.kind == "realm" for named in eviction.named)
    return TagPurge(eviction.id, frozenset(marks), eviction.is_no, eviction.not_before, is_of_realms)
