"""Runs an errand as an introspection is run, so that the same flights, leases and tiers serve both.

To them a verdict is a result about a token: facts with an end. An errand that nobody can settle is indeterminate, and
as such is never kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal, Protocol

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Indeterminate, IntrospectionResult
from gateway.authn.question import Question
from gateway.errands.errand import Errand, Kind
from gateway.errands.obtained import Granted, Verdict, Windows, as_facts, until
from gateway.introspection.joiners import Joiners
from gateway.introspection.ports import TokenValidator

ErrandOutcome = Literal["granted", "refused", "unavailable"]
Tags = Callable[[Question, Facts], tuple[bytes, ...]]


class ErrandMeter(Protocol):
    def errand_ended(self, kind: Kind, provider: str, outcome: ErrandOutcome) -> None: ...


class GrantSource(Protocol):
    """Runs errands at one token endpoint; see `gateway.provider.grant_client`."""

    @property
    def max_duration_s(self) -> float: ...

    @property
    def breaker_is_open(self) -> bool: ...

    async def run(
        self, errand: Errand, address: str = "", joiners: Joiners | None = None
    ) -> Verdict | Indeterminate: ...


class ErrandRunner:
    """Satisfies `introspection.ports.Introspector` for the errands of one provider.

    `identity` and `realm` are the provider's. `tags` gives those of a caller's facts.
    """

    def __init__(
        self,
        name: str,
        identity: bytes,
        realm: str,
        source: GrantSource,
        windows: Windows,
        tags: Tags,
        meter: ErrandMeter,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.identity = hashlib.sha256(b"gateway errands\0" + identity).digest()
        self.realm = realm
        self.validator: TokenValidator | None = None  # what is obtained is judged by the provider alone
        self._source = source
        self._windows = windows
        self._tags = tags
        self._meter = meter
        self._clock = clock

    @property
    def max_duration_s(self) -> float:
        return self._source.max_duration_s

    @property
    def breaker_is_open(self) -> bool:
        return self._source.breaker_is_open

    async def introspect(self, token: Token, address: str, joiners: Joiners | None = None) -> IntrospectionResult:
        assert isinstance(token, Errand)  # nothing else is looked up here
        asked_at = self._clock()
        verdict = await self._source.run(token, address, joiners)
        if isinstance(verdict, Indeterminate):
            self._meter.errand_ended(token.asked.kind, self.name, "unavailable")
            return verdict
        self._meter.errand_ended(token.asked.kind, self.name, "granted" if isinstance(verdict, Granted) else "refused")
        tags: tuple[bytes, ...] = ()
        if token.question is not None and token.facts is not None:
            tags = self._tags(token.question, token.facts)
        ends = until(token, verdict, asked_at, self._windows)
        return as_facts(verdict, asked_at, self._clock(), ends, tags)
