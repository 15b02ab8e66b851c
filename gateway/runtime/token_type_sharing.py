"""How the processes of a fleet share what `require_token_type: auto` has learned about a provider.

    one process learns -> its siblings are told            (`InvalidationBroadcaster.tell_of_token_type`)
                       -> Redis keeps it for later starts  (`share_token_type`, `recall_token_types`)
                       -> the fleet's log tells the others (`note_token_types`)

The message is a tag, an HMAC of the provider's identity. Someone who can write to Redis but does not have the secret
can neither read nor make one. Someone who deletes it only delays a process that starts, until that process has its own
first response. Cached facts stay: the policy applies the rule at each request, and `Streams.judge_all` judges open
streams again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from gateway.authn.token_type import TokenTypeRule
from gateway.cache.key import HmacKeys
from gateway.cache.key_ring import KeyRing
from gateway.events.replay import SharedSeen
from gateway.introspection.tag_purge import TagPurge, purge_of

# Each process that starts within that time renews it.
_LIFE_S = 30 * 24 * 3600.0


class HasTokenTypes(Protocol):
    @property
    def token_types(self) -> TokenTypeRule: ...


class SharedTypes(SharedSeen, Protocol):
    """Keeps and publishes what was learned. Raises nothing but `CancelledError`."""

    async def publish_purge(self, purge: TagPurge) -> bool: ...


async def share_token_type(identity: bytes, keys: HmacKeys | KeyRing, shared: SharedTypes) -> None:
    """Tell the fleet, now and later, that the provider with this `identity` gives access tokens a `token_type`."""
    tag = _tag(identity, keys)
    await shared.remember_seen(tag, _LIFE_S)
    await shared.publish_purge(purge_of(_aliases_of(tag, keys)))


async def recall_token_types(
    providers: Iterable[HasTokenTypes], keys: HmacKeys | KeyRing, shared: SharedSeen | None
) -> None:
    """Learn what the fleet has learned."""
    for rule in _rules_that_learn(providers):
        tag = _tag(rule.identity, keys)
        if shared is not None and await shared.has_seen(tag):
            rule.learn()
            await shared.remember_seen(tag, _LIFE_S)


def note_token_types(purge: TagPurge, providers: Iterable[HasTokenTypes], keys: HmacKeys | KeyRing) -> bool:
    """Learn what `purge`, which came from the fleet, says of these providers. Returns whether that was news."""
    if not purge.tags:
        return False
    named = [
        rule
        for rule in _rules_that_learn(providers)
        if not purge.tags.isdisjoint(_aliases_of(_tag(rule.identity, keys), keys))
    ]
    for rule in named:
        rule.learn()
    return bool(named)


def _rules_that_learn(providers: Iterable[HasTokenTypes]) -> list[TokenTypeRule]:
    return [provider.token_types for provider in providers if provider.token_types.can_learn]


def _tag(identity: bytes, keys: HmacKeys | KeyRing) -> bytes:
    return keys.event_key("require_token_type", identity.hex())


def _aliases_of(tag: bytes, keys: HmacKeys | KeyRing) -> tuple[bytes, ...]:
    """The tags that stand for `tag` in a purge: one for each secret."""
    return keys.aliases(tag) or (tag,)
