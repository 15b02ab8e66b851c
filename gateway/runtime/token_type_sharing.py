"""How the processes of a fleet share what `require_token_type: auto` has learned of a provider.

    one process learns -> its siblings are told            (`InvalidationBroadcaster.tell_of_token_type`)
                       -> Redis keeps it for who starts later  (`share_token_type`, `recall_token_types`)
                       -> the fleet's log tells who is there   (`note_token_types`)

What is told is a mark, an HMAC of the provider's identity: who can write to Redis and does not have the secret can
neither read nor make one. Whoever deletes it delays a process that starts, until that has its own first answer.
Facts that are remembered need not be thrown away: the policy asks the rule at each request, and what is still open is
judged anew (`Streams.judge_all`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from gateway.authn.token_type import TokenTypeRule
from gateway.cache.key import HmacKeys
from gateway.cache.key_ring import KeyRing
from gateway.events.replay import SharedSeen
from gateway.introspection.tag_purge import TagPurge, purge_of

# Said again by each process that starts within that time.
_LIFE_S = 30 * 24 * 3600.0


class HasTokenTypes(Protocol):
    @property
    def token_types(self) -> TokenTypeRule: ...


class SharedTypes(SharedSeen, Protocol):
    """Raises nothing but `CancelledError`."""

    async def publish_purge(self, purge: TagPurge) -> bool: ...


async def share_token_type(identity: bytes, keys: HmacKeys | KeyRing, shared: SharedTypes) -> None:
    """Tell the fleet, now and later, that the provider of `identity` gives its access tokens a `token_type`."""
    mark = _mark(identity, keys)
    await shared.remember_seen(mark, _LIFE_S)
    await shared.publish_purge(purge_of(_said(mark, keys)))


async def recall_token_types(
    providers: Iterable[HasTokenTypes], keys: HmacKeys | KeyRing, shared: SharedSeen | None
) -> None:
    """Take over what the fleet has learned."""
    for rule in _learning(providers):
        mark = _mark(rule.identity, keys)
        if shared is not None and await shared.has_seen(mark):
            rule.learn()
            await shared.remember_seen(mark, _LIFE_S)


def note_token_types(purge: TagPurge, providers: Iterable[HasTokenTypes], keys: HmacKeys | KeyRing) -> bool:
    """Take over what `purge`, which came from the fleet, says of them; whether that was news."""
    if not purge.marks:
        return False
    named = [
        rule for rule in _learning(providers) if not purge.marks.isdisjoint(_said(_mark(rule.identity, keys), keys))
    ]
    for rule in named:
        rule.learn()
    return bool(named)


def _learning(providers: Iterable[HasTokenTypes]) -> list[TokenTypeRule]:
    return [provider.token_types for provider in providers if provider.token_types.learning]


def _mark(identity: bytes, keys: HmacKeys | KeyRing) -> bytes:
    return keys.event_mark("require_token_type", identity.hex())


def _said(mark: bytes, keys: HmacKeys | KeyRing) -> tuple[bytes, ...]:
    """What stands for `mark` in an order: one mark for each secret."""
    return keys.aliases(mark) or (mark,)
