"""Finds out what comes of grants: in this process, else in the fleet, else at the provider, once for all who wait.

    known -> kept here and not over? -> late in its life: a renewal begins -> the verdict
    obtain -> Authenticator (flights, fleet, lease) -> GrantRunner -> the verdict, kept in both tiers

It is an `Authenticator` of its own, with tiers of its own in this process, and shares the fleet's with the facts. So a
purge reaches what was obtained for a caller by the tags of the caller's facts, under way or kept. Renewals are tasks
that this object owns; one at a time for a grant, and after one that failed a pause. `close` ends them.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from typing import Literal

from gateway.authn.facts import Facts, Indeterminate
from gateway.authn.question import Question, Tier
from gateway.grants.grant_request import GrantRequest
from gateway.grants.obtained import LIFE_MAX_S, Verdict, Windows, from_facts, is_due
from gateway.http.bounded_memo import keep_at_most
from gateway.introspection.authenticator import Authenticator
from gateway.introspection.lease_port import Leases
from gateway.introspection.lifetime import Lifetimes
from gateway.introspection.ports import CacheKeys, Introspector, SharedTier
from gateway.introspection.tag_purge import TagPurge
from gateway.obtaining.verdict_tier import VerdictTier

# The part of its life after which the gateway's own token is renewed, whatever `cache.refresh_ahead` says.
CLIENT_FRACTION = 0.75
_EXCHANGE_FRACTION = 0.8
_RENEWALS_MAX = 16
_PAUSE_S = 5.0
_PAUSES_MAX = 1_000
# A renewal asks for what is younger than this part of the age of what is kept.
_YOUNGER = 0.9


class Unmetered:
    """Counts nothing: the introspection metrics are about tokens of callers."""

    def introspected(self, provider: str, outcome: str, duration_s: float) -> None: ...

    def looked_up(self, tier: str, result: str) -> None: ...

    def found_at_once(self) -> None: ...

    def breaker_changed(self, provider: str, state: str) -> None: ...

    def leased(self, outcome: Literal["held", "waited", "lost", "unavailable"]) -> None: ...

    def refreshed(self, outcome: str) -> None: ...


class Obtainer:
    """Finds verdicts. `fraction` is `cache.refresh_ahead`; with `None` permissions are not renewed ahead."""

    def __init__(
        self,
        runners: Mapping[str, Introspector],
        *,
        keys: CacheKeys,
        local: VerdictTier,
        shared: SharedTier | None,
        leases: Leases | None,
        windows: Windows,
        fraction: float | None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.windows = windows
        self.fraction = fraction
        self._clock = clock
        self._monotonic = monotonic
        self._local = local
        self._keys = keys
        self._identities = {name: each.identity for name, each in runners.items()}
        self._authenticator = Authenticator(
            runners,
            keys=keys,
            local=local,
            shared=shared,
            meter=Unmetered(),
            lifetimes=Lifetimes(LIFE_MAX_S, 0.0),
            clock=clock,
            monotonic=monotonic,
            leases=leases,
        )
        self._renewing: set[int] = set()  # hashes of grants
        self._paused_until_s: dict[int, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def known(self, grant: GrantRequest, address: str = "", max_age_s: float | None = None) -> Verdict | None:
        """The verdict that this process has; `None`: call `obtain`."""
        found = self._authenticator.cached(Question(grant.asked.provider, grant, max_age_s, None, address))
        if found is None or not isinstance(found.result, Facts):
            return None
        self.renew_if_due(grant, found.result)
        return from_facts(found.result)

    def renew_if_due(self, grant: GrantRequest, kept: Facts) -> None:
        """Begin to renew `kept`, late in its life."""
        fraction = self._fraction(grant)
        if fraction is not None and is_due(kept, grant, self.windows, fraction, self._clock()):
            self._renew_soon(grant, kept)

    def due_at(self, grant: GrantRequest, kept: Facts) -> float:
        """When `renew_if_due` is to be asked next, on the wall clock."""
        fraction = self._fraction(grant)
        if fraction is None or kept.exp is None:
            return math.inf
        return kept.introspected_at + fraction * (kept.exp - kept.introspected_at)

    def _fraction(self, grant: GrantRequest) -> float | None:
        """The part of its life after which a verdict in use is renewed; `None` for one that is not, or not here."""
        if grant.asked.kind == "client":
            return None  # `ClientTokens` renews it, whether it is in use or not
        # To obtain a token takes longer than to introspect one, and each costs one call in its life.
        return self.fraction or (_EXCHANGE_FRACTION if grant.asked.kind == "exchange" else None)

    async def obtain(
        self, grant: GrantRequest, address: str = "", max_age_s: float | None = None
    ) -> tuple[Verdict | Indeterminate, Tier | None]:
        """The verdict and the tier that it came from. Raises nothing but `CancelledError`."""
        question = Question(grant.asked.provider, grant, max_age_s, None, address)
        found = await self._authenticator.look_up(question)
        if isinstance(found.result, Facts):
            return from_facts(found.result), found.tier
        if isinstance(found.result, Indeterminate):
            return found.result, found.tier
        return Indeterminate("what was obtained had ended before it came"), found.tier

    def kept(self, grant: GrantRequest) -> Facts | None:
        """The verdict that this process has, with its times; no renewal begins. Requests look here, so it is lean."""
        entry = self._local.get(self._keys.key(self._identities[grant.asked.provider], grant), self._monotonic())
        if entry is None:
            return None
        result = entry.result
        # The wall clock may have been set since.
        if not isinstance(result, Facts) or (result.exp is not None and result.exp <= self._clock()):
            return None
        return result

    async def renew(self, grant: GrantRequest, kept: Facts) -> bool:
        """Ask for a younger verdict than `kept`; returns whether there is one."""
        age_s = max(0.0, self._clock() - kept.introspected_at)
        verdict, _ = await self.obtain(grant, "", _YOUNGER * age_s)
        return not isinstance(verdict, Indeterminate)

    def forget(self, purge: TagPurge) -> int:
        return self._authenticator.forget(purge)

    async def close(self, within_s: float) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._authenticator.close(within_s)

    def _renew_soon(self, grant: GrantRequest, kept: Facts) -> None:
        now_s, name = self._monotonic(), hash(grant)
        if name in self._renewing or len(self._renewing) >= _RENEWALS_MAX:
            return
        if now_s < self._paused_until_s.get(name, 0.0):
            return
        self._renewing.add(name)
        task = asyncio.get_running_loop().create_task(self._renew(grant, kept), name="renew what was obtained")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _renew(self, grant: GrantRequest, kept: Facts) -> None:
        try:
            has_come = await self.renew(grant, kept)
        finally:
            self._renewing.discard(hash(grant))
        self._paused_until_s.pop(hash(grant), None)
        if not has_come:
            keep_at_most(_PAUSES_MAX, self._paused_until_s, hash(grant), self._monotonic() + _PAUSE_S)
