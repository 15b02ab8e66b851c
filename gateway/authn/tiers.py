"""The ports of authentication: what it asks of a provider, of the tiers that remember answers, and of the meter.

`gateway.provider`, `gateway.cache` and `gateway.observe` satisfy them; nothing here knows how.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol

from gateway.authn.bearer import Token
from gateway.authn.eviction import Named
from gateway.authn.facts import Answer, Facts, Inactive
from gateway.authn.purge import Purge

# `Unclear` is no part of it: what cannot be relied on is not remembered.
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

    async def introspect(self, token: Token) -> Answer:
        """Asks, within the provider's own deadline. Raises nothing but `CancelledError`."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer that this process remembers. Times are seconds on its monotonic clock."""

    answer: Memorable
    tags: tuple[bytes, ...]
    introspected_at_s: float
    good_until_s: float


class Keys(Protocol):
    def key(self, identity: bytes, token: Token) -> bytes:
        """The cache key of a token at a provider."""
        ...

    def tag(self, named: Named) -> bytes:
        """The mark by which the answers that are named are purged."""
        ...

    def tags(self, realm: str, answer: Memorable) -> tuple[bytes, ...]:
        """The marks of an answer of a provider of `realm`, beside its key."""
        ...


class LocalTier(Protocol):
    """Remembers within the process. Nothing waits, nothing fails; `now_s` is the monotonic clock."""

    def get(self, key: bytes, now_s: float) -> Entry | None: ...

    def put(self, key: bytes, entry: Entry, now_s: float) -> None: ...

    def purge(self, purge: Purge, now_s: float) -> int:
        """Forgets what `purge` covers; how many answers that could still have been used."""
        ...


@dataclass(frozen=True, slots=True)
class Recalled:
    """What the fleet remembers: `age_s` since it was introspected, and good for `left_s` more."""

    answer: Memorable
    age_s: float
    left_s: float


class Absent(Enum):
    """Nothing usable in the shared tier: not there, or the tier is down, slow or lying."""

    MISS = "miss"
    ERROR = "error"


class SharedTier(Protocol):
    """Remembers for the fleet. Raises nothing but `CancelledError`; each operation ends within `timeout_s`."""

    @property
    def timeout_s(self) -> float: ...

    def standing(self) -> bytes:
        """Which of the fleet's purges are known now: taken before a provider is asked, handed over with its answer.

        An answer that was asked for before a purge, wherever that came from, is then not found after it.
        """
        ...

    async def get(self, key: bytes, realm: str) -> Recalled | Absent:
        """The answer under `key`, of a provider of `realm`."""
        ...

    async def put(self, key: bytes, recalled: Recalled, standing: bytes) -> None: ...

    def forget(self, purge: Purge) -> None:
        """From here on this process finds nothing older that `purge` covers, even if the fleet is not told yet."""
        ...


class Meter(Protocol):
    """Counts. Labels come from the configuration and from the literals here."""

    def introspected(
        self, provider: str, outcome: Literal["active", "inactive", "unclear"], duration_s: float
    ) -> None: ...

    def looked_up(self, tier: Literal["local", "redis"], result: Literal["hit", "miss", "error"]) -> None: ...
