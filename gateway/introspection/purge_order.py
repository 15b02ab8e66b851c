"""Makes purges from a token, a claim or an invalidation. A purge holds only tags and nothing of these."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.authn.bearer import Token
from gateway.introspection.fetcher import FactsFetcher
from gateway.introspection.invalidation import TOKEN_CLAIMS, ClaimSelector, Invalidation
from gateway.introspection.tag_purge import TagPurge, purge_everything, purge_of


def purge_of_token(fetcher: FactsFetcher, token: Token) -> TagPurge:
    return purge_of(fetcher.token_tags(token), fetcher.clock())


def purge_of_claims(fetcher: FactsFetcher, claims: Mapping[str, str | None]) -> TagPurge:
    """The purge of all that has one of the `claims` (`TOKEN_CLAIMS`) at any provider; without claims, of everything."""
    selectors = [(claim, value) for claim in TOKEN_CLAIMS if (value := claims.get(claim)) is not None]
    if not selectors:
        return purge_everything()
    realms = {each.realm for each in fetcher.introspectors.values()}
    every = (ClaimSelector(realm, *one) for realm in realms for one in selectors)
    tags = (tag for selector in every for tag in fetcher.keys.selector_tags(selector))
    return purge_of(tags, fetcher.clock())


def purge_of_invalidation(fetcher: FactsFetcher, invalidation: Invalidation) -> TagPurge:
    """The same order as tags, under the same id."""
    tags = {tag for selector in invalidation.selectors for tag in fetcher.keys.selector_tags(selector)}
    for token in invalidation.tokens:
        tags.update(fetcher.token_tags(token))
    is_of_realms = any(selector.claim == "realm" for selector in invalidation.selectors)
    return TagPurge(
        invalidation.id,
        frozenset(tags),
        invalidation.is_revocation,
        invalidation.not_before,
        is_of_realms,
        invalidation.revoked_at,
    )
