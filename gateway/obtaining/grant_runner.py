"""Runs a grant as an introspection is run, so that the same flights, leases and tiers serve both.

To them a verdict is a result about a token: facts with an end. A grant that nobody can settle is indeterminate, and
as such is never kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal, Protocol

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Indeterminate, IntrospectionResult
from gateway.authn.question import Question
from gateway.grants.grant_request import GrantRequest, Kind
from gateway.grants.obtained import Granted, Verdict, Windows, as_facts, until
from gateway.introspection.joiners import Joiners
from gateway.introspection.ports import TokenValidator

GrantOutcome = Literal["granted", "refused", "unavailable"]
Tags = Callable[[Question, Facts], tuple[bytes, ...]]


class GrantMeter(Protocol):
    def grant_ended(self, kind: Kind, provider: str, outcome: GrantOutcome) -> None: ...


class GrantSource(Protocol):
    """Runs grants at one token endpoint; see `gateway.provider.grant_client`."""

    @property
    def max_duration_s(self) -> float: ...

    @property
    def breaker_is_open(self) -> bool: ...

    async def run(
        self, grant: GrantRequest, address: str = "", joiners: Joiners | None = None
    ) -> Verdict | Indeterminate: ...


class GrantRunner:
    """Satisfies `introspection.ports.Introspector` for the grants of one provider.

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
        meter: GrantMeter,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.identity = hashlib.sha256(b"gateway grants\0" + identity).digest()
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
        assert isinstance(token, GrantRequest)  # nothing else is looked up here
        asked_at = self._clock()
        verdict = await self._source.run(token, address, joiners)
        if isinstance(verdict, Indeterminate):
            self._meter.grant_ended(token.asked.kind, self.name, "unavailable")
            return verdict
        self._meter.grant_ended(token.asked.kind, self.name, "granted" if isinstance(verdict, Granted) else "refused")
        tags: tuple[bytes, ...] = ()
        if token.question is not None and token.facts is not None:
            tags = self._tags(token.question, token.facts)
        ends = until(token, verdict, asked_at, self._windows)
        return as_facts(verdict, asked_at, self._clock(), ends, tags)
