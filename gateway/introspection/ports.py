"""The ports of introspection: what it needs of a provider, of the tiers that keep results, and of the meter.

`gateway.provider`, `gateway.cache` and `gateway.observe` satisfy them. Nothing here knows how.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, Protocol

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, IntrospectionResult
from gateway.introspection.invalidation import ClaimSelector
from gateway.introspection.joiners import Joiners
from gateway.introspection.tag_purge import TagPurge

# `Indeterminate` is missing on purpose: a result that cannot be relied on is not kept.
Memorable = Facts | Inactive


class TokenValidator(Protocol):
    """Judges tokens in this process, by the provider's keys and without a call for each token."""

    @property
    def decides_alone(self) -> bool:
        """Whether the provider is never asked about a token. Then an eviction is a revocation."""
        ...

    async def judge(self, token: Token) -> IntrospectionResult | None:
        """What can be said of the token without asking the provider; `None`: the provider has to be asked.

        Raises nothing but `CancelledError`.
        """
        ...

    async def may_have_issued(self, token: Token) -> bool:
        """Whether the provider has signed the token, whatever its times are, or may have: nobody can tell just now.

        Raises nothing but `CancelledError`.
        """
        ...

    def forget_keys(self) -> None:
        """Has the keys fetched again before the next token is judged."""
        ...


class Introspector(Protocol):
    """Introspects tokens at one provider. `identity` covers issuer, endpoint and client: another one gives other
    results.

    `realm` is the issuer, where it is known, whose subjects, sessions and clients the results name.
    """

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> bytes: ...

    @property
    def realm(self) -> str: ...

    @property
    def validator(self) -> TokenValidator | None:
        """Judges a token before anybody is asked; `None` where only the provider can."""
        ...

    @property
    def max_duration_s(self) -> float:
        """How long an introspection that begins now may take, its wait for other calls included."""
        ...

    @property
    def breaker_is_open(self) -> bool:
        """Whether the breaker blocks calls just now, so that the result is `Indeterminate` at once."""
        ...

    async def introspect(self, token: Token, address: str, joiners: Joiners | None = None) -> IntrospectionResult:
        """Asks in the name of the client at `address`, and waits in the names of `joiners` too, as they come.

        Raises nothing but `CancelledError`.
        """
        ...


@dataclass(slots=True, init=False)
class CacheEntry:
    """Holds a result that this process keeps. Times are seconds on its monotonic clock.

    A use at `refresh_at_s` or later refreshes the entry ahead of its end; infinity means never. From `good_until_s` to
    `kept_until_s` it is not fresh any more, but still the last known result. Nobody changes an entry; as with `Facts`,
    a frozen one would take longer to make.
    """

    result: Memorable
    tags: tuple[bytes, ...]
    introspected_at_s: float
    good_until_s: float
    refresh_at_s: float
    kept_until_s: float

    def __init__(
        self,
        result: Memorable,
        tags: tuple[bytes, ...],
        introspected_at_s: float,
        good_until_s: float,
        refresh_at_s: float = math.inf,
        kept_until_s: float = 0.0,
    ) -> None:
        self.result = result
        self.tags = tags
        self.introspected_at_s = introspected_at_s
        self.good_until_s = good_until_s
        self.refresh_at_s = refresh_at_s
        self.kept_until_s = kept_until_s


class CacheKeys(Protocol):
    def key(self, identity: bytes, token: Token) -> bytes:
        """The cache key of a token at a provider."""
        ...

    def aliases(self, key: bytes) -> tuple[bytes, ...]:
        """The tags that an entry under `key` has instead of the key; none where the key itself is its tag."""
        ...

    def selector_tags(self, selector: ClaimSelector) -> tuple[bytes, ...]:
        """The tags by which the results that `selector` selects are purged."""
        ...

    def result_tags(self, realm: str, result: Memorable) -> tuple[bytes, ...]:
        """The tags of a result of a provider of `realm`, beside its key."""
        ...


class LocalTier(Protocol):
    """Keeps results in this process. Nothing waits, nothing fails; `now_s` is the monotonic clock."""

    def get(self, key: bytes, now_s: float) -> CacheEntry | None:
        """The entry under `key` if it is fresh."""
        ...

    def facts(self, key: bytes, now_s: float) -> CacheEntry | None:
        """The entry under `key` if it is fresh and about an active token."""
        ...

    def last_known(self, key: bytes, now_s: float) -> CacheEntry | None:
        """The facts that are kept, fresh or not; `None` if the last known result is inactive."""
        ...

    def put(self, key: bytes, entry: CacheEntry, now_s: float) -> None: ...

    def drop_tagged(self, purge: TagPurge, now_s: float) -> int:
        """Forgets what `purge` covers; returns how many results could still have been used."""
        ...


@dataclass(slots=True, init=False)
class Recalled:
    """Holds a result that the fleet remembers: `age_s` old, fresh for `left_s` more, kept for `kept_s` more.

    `fence` is that of the lease under which it was fetched; empty without a lease. With `is_announced` the result is
    inactive, and a purge has told every process that kept the token's facts. With `ahead_s` the writer's clock seems to
    be so far ahead of ours: the result cannot be used, but by that clock the token ends that much earlier. `tags` are
    the tags that it may be purged by, where they are made already.
    """

    result: Memorable
    age_s: float
    left_s: float
    fence: bytes
    kept_s: float  # `left_s` included; less than that means `left_s`
    is_announced: bool
    ahead_s: float
    tags: tuple[bytes, ...] | None = field(compare=False, repr=False)

    def __init__(
        self,
        result: Memorable,
        age_s: float,
        left_s: float,
        fence: bytes = b"",
        kept_s: float = 0.0,
        is_announced: bool = False,
        ahead_s: float = 0.0,
        tags: tuple[bytes, ...] | None = None,
    ) -> None:
        self.result = result
        self.age_s = age_s
        self.left_s = left_s
        self.fence = fence
        self.kept_s = kept_s
        self.is_announced = is_announced
        self.ahead_s = ahead_s
        self.tags = tags


class Absent(Enum):
    """Says that the shared tier has nothing usable: no entry, or the tier is down, slow or lying."""

    MISS = "miss"
    ERROR = "error"


class SharedTier(Protocol):
    """Keeps results for the fleet. Raises nothing but `CancelledError`; each operation ends within `timeout_s`."""

    @property
    def timeout_s(self) -> float: ...

    def log_position(self) -> bytes:
        """The position in the fleet's log of purges that is known now. Take it before a provider is asked, and pass it
        to `put`.

        A result that was asked for before a purge, anywhere in the fleet, is then not found after that purge.
        """
        ...

    def get(self, key: bytes, realm: str) -> Awaitable[Recalled | Absent]:
        """The result under `key`, of a provider of `realm`. The tier is asked at once, whether the result is awaited or
        not.
        """
        ...

    async def put(self, key: bytes, recalled: Recalled, log_position: bytes) -> None: ...

    async def publish_purge(self, purge: TagPurge) -> bool:
        """Tells the fleet, sooner or later; returns whether it has been told by now."""
        ...

    async def publish_revocation(self, purge: TagPurge) -> bytes | None:
        """Tells the fleet as `publish_purge` does, for the holder of the lease, and reads the purge back.

        Returns the log position for the result that may take the place of the purged one. Empty: none may. `None`: the
        fleet has not been told yet.
        """
        ...

    def hide(self, purge: TagPurge) -> None:
        """Makes sure that this process finds nothing older that `purge` covers, even if the fleet is not told yet."""
        ...


class IntrospectionMeter(Protocol):
    """Counts introspections, lookups, leases, refreshes and breaker changes. Labels come from the configuration and the
    literals here.
    """

    def introspected(
        self, provider: str, outcome: Literal["active", "inactive", "unclear"], duration_s: float
    ) -> None: ...

    def found_at_once(self) -> None:
        """Counts a hit in the local tier, which most requests are."""
        ...

    def looked_up(self, tier: Literal["local", "redis"], result: Literal["hit", "miss", "error"]) -> None: ...

    def breaker_changed(self, provider: str, state: Literal["closed", "half_open", "open"]) -> None: ...

    def leased(self, outcome: Literal["held", "waited", "lost", "unavailable"]) -> None: ...

    def refreshed(self, outcome: Literal["asked", "shared", "failed", "skipped"]) -> None: ...
