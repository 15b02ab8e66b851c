"""The ports of authentication: what it asks of a provider, of the tiers that remember answers, and of the meter.

`gateway.provider`, `gateway.cache` and `gateway.observe` satisfy them; nothing here knows how.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, Protocol

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, IntrospectionResult
from gateway.introspection.invalidation import ClaimSelector
from gateway.introspection.joiners import Joiners
from gateway.introspection.tag_purge import TagPurge

# `Indeterminate` is no part of it: what cannot be relied on is not remembered.
Memorable = Facts | Inactive


class Introspector(Protocol):
    """One provider. `identity` covers issuer, endpoint and client: what differs there is another answer.

    `realm` is whose subjects, sessions and clients its answers name: the issuer, where it is known.
    """

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> bytes: ...

    @property
    def realm(self) -> str: ...

    @property
    def max_duration_s(self) -> float:
        """How long a question that comes now may take, its wait for other calls included."""
        ...

    @property
    def breaker_is_open(self) -> bool:
        """Whether nothing would be asked of it just now, and the answer is `Indeterminate` at once."""
        ...

    async def introspect(self, token: Token, address: str, joiners: Joiners | None = None) -> IntrospectionResult:
        """Asks in the name of the client at `address`, and waits in those of `joiners` as well, as they come.

        Raises nothing but `CancelledError`.
        """
        ...


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """An answer that this process remembers. Times are seconds on its monotonic clock.

    Who uses it at `refresh_at_s` or later has it asked for again ahead of its end; infinity for never. From
    `good_until_s` to `kept_until_s` it is no answer any more, but still the last thing known.
    """

    result: Memorable
    tags: tuple[bytes, ...]
    introspected_at_s: float
    good_until_s: float
    refresh_at_s: float = math.inf
    kept_until_s: float = 0.0


class CacheKeys(Protocol):
    def key(self, identity: bytes, token: Token) -> bytes:
        """The cache key of a token at a provider."""
        ...

    def key_maker(self, identity: bytes) -> Callable[[bytes], bytes]:
        """What makes the cache keys of tokens, as they came, at one provider."""
        ...

    def aliases(self, key: bytes) -> tuple[bytes, ...]:
        """The marks that an entry under `key` is purged by instead of the key; none where it is purged by the key."""
        ...

    def selector_tags(self, selector: ClaimSelector) -> tuple[bytes, ...]:
        """The marks by which the answers that are named are purged."""
        ...

    def result_tags(self, realm: str, result: Memorable) -> tuple[bytes, ...]:
        """The marks of an answer of a provider of `realm`, beside its key."""
        ...


class LocalTier(Protocol):
    """Remembers within the process. Nothing waits, nothing fails; `now_s` is the monotonic clock."""

    def get(self, key: bytes, now_s: float) -> CacheEntry | None:
        """What is still good."""
        ...

    def facts(self, key: bytes, now_s: float) -> CacheEntry | None:
        """What is still good of an active token."""
        ...

    def last_known(self, key: bytes, now_s: float) -> CacheEntry | None:
        """Facts that are kept, good or not; `None` where the last thing known is a no."""
        ...

    def put(self, key: bytes, entry: CacheEntry, now_s: float) -> None: ...

    def drop_tagged(self, purge: TagPurge, now_s: float) -> int:
        """Forgets what `purge` covers; how many answers that could still have been used."""
        ...


@dataclass(slots=True)
class Recalled:
    """Holds a result that the fleet remembers: `age_s` old, fresh for `left_s` more, kept for `kept_s` more.

    `call` is the fence of the lease that its call had; empty without a lease. With `is_announced` the result is
    inactive, and a purge has told every process that kept the token's facts. With `ahead_s` the writer's clock seems to
    be so far ahead of ours: the result cannot be used, but by that clock the token ends that much earlier. `tags` are
    the tags that it may be purged by, where the shared tier has made them.
    """

    result: Memorable
    age_s: float
    left_s: float
    call: bytes = b""
    kept_s: float = 0.0  # `left_s` included; less than that means `left_s`
    is_announced: bool = False
    ahead_s: float = 0.0
    tags: tuple[bytes, ...] | None = field(default=None, compare=False, repr=False)


class Absent(Enum):
    """Nothing usable in the shared tier: not there, or the tier is down, slow or lying."""

    MISS = "miss"
    ERROR = "error"


class SharedTier(Protocol):
    """Remembers for the fleet. Raises nothing but `CancelledError`; each operation ends within `timeout_s`."""

    @property
    def timeout_s(self) -> float: ...

    def log_position(self) -> bytes:
        """Which of the fleet's purges are known now: taken before a provider is asked, handed over with its answer.

        An answer that was asked for before a purge, wherever that came from, is then not found after it.
        """
        ...

    def get(self, key: bytes, realm: str) -> Awaitable[Recalled | Absent]:
        """The answer under `key`, of a provider of `realm`. It is asked for at once, whether it is awaited or not."""
        ...

    async def put(self, key: bytes, recalled: Recalled, log_position: bytes) -> None: ...

    async def publish_purge(self, purge: TagPurge) -> bool:
        """Tells the fleet, sooner or later; whether it has been told by now."""
        ...

    async def publish_revocation(self, purge: TagPurge) -> bytes | None:
        """Tells the fleet as `publish_purge` does, on behalf of the holder of the lease, and reads the purge back.

        Returns the standing of what may take the place of that which is purged. Empty: nothing may. `None`: the fleet
        has not been told yet.
        """
        ...

    def hide(self, purge: TagPurge) -> None:
        """From here on this process finds nothing older that `purge` covers, even if the fleet is not told yet."""
        ...


@dataclass(frozen=True, slots=True)
class LeaseState:
    """Who asks the provider now: `holder` is the fence of that call, for `left_s` more at most.

    `recalled` is what the shared tier had at the same moment.
    """

    holder: bytes
    left_s: float
    recalled: Recalled | Absent


class LeaseSignal(Protocol):
    async def wait(self, at_most_s: float) -> None:
        """Returns when somebody has settled or given back, perhaps without reason, or after `at_most_s`."""
        ...


class Leases(Protocol):
    """The right to ask about a key, one holder at a time in the whole fleet.

    A `fence` is random and names one call. Raises nothing but `CancelledError`; each operation ends within the shared
    tier's `timeout_s`.
    """

    async def acquire(self, key: bytes, realm: str, fence: bytes, length_s: float) -> LeaseState | None:
        """Takes the lease if nobody has it, for `length_s`; `realm` as in `SharedTier.get`.

        `None` when it cannot be said who has it.
        """
        ...

    async def settle(self, key: bytes, recalled: Recalled, log_position: bytes, fence: bytes) -> bool | None:
        """Puts the answer of the call `fence` into the shared tier and gives its lease back, in one step.

        False, and nothing is put, when another has taken over or has put an answer meanwhile. None when it could not
        be put at all.
        """
        ...

    async def release(self, key: bytes, fence: bytes) -> None:
        """Ends the lease where it is still `fence`'s."""
        ...

    def signal(self, key: bytes) -> AbstractContextManager[LeaseSignal]:
        """To be entered before the lease is tried, so that nothing is missed."""
        ...


class IntrospectionMeter(Protocol):
    """Counts. Labels come from the configuration and from the literals here."""

    def introspected(
        self, provider: str, outcome: Literal["active", "inactive", "unclear"], duration_s: float
    ) -> None: ...

    def looked_up(self, tier: Literal["local", "redis"], result: Literal["hit", "miss", "error"]) -> None: ...

    def breaker_changed(self, provider: str, state: Literal["closed", "half_open", "open"]) -> None: ...

    def leased(self, outcome: Literal["held", "waited", "lost", "unavailable"]) -> None: ...

    def refreshed(self, outcome: Literal["asked", "shared", "failed", "skipped"]) -> None: ...
