"""Asks the backends of routes with `health` whether they are well, in one worker for the whole instance.

How this works:

- `follow` begins a task for each backend that is to be asked, and ends those of backends that are no longer.
- Every worker has the tasks, and only the one that leads asks. `leads` is looked up each second: when the leader is
  gone, the next worker takes over from what it was told last.
- What the leader finds it tells the other workers: each change, and now and then again while a backend is not well, for
  workers that have started meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from gateway.config.backend_model import HealthSettings
from gateway.proxy.upstream.backend_state import BackendState
from gateway.proxy.upstream.health import HealthRow, what_is_wrong
from gateway.proxy.upstream.pools import UpstreamPools
from gateway.proxy.upstream.route_backends import RouteBackends
from gateway.workers.control import ControlError

_logger = logging.getLogger(__name__)

HEALTH = "health"  # the key under which other workers are told
_ROUND_S = 1.0
_TOLD_AGAIN_AFTER_ROUNDS = 3

Leads = Callable[[], Awaitable[bool]]
TellSiblings = Callable[[Mapping[str, Any]], Awaitable[object]]


class HealthChecks:
    """`leads` and `tell_siblings` are None in the only worker of an instance."""

    def __init__(self, pools: UpstreamPools, leads: Leads | None, tell_siblings: TellSiblings | None) -> None:
        self._pools = pools
        self._leads = leads
        self._tell_siblings = tell_siblings
        self._is_leader = leads is None
        self._asked: dict[str, tuple[RouteBackends, list[asyncio.Task[None]]]] = {}  # by the name of the route
        self._leading: asyncio.Task[None] | None = None
        self._told: dict[str, list[bool]] = {}
        self._rounds = 0

    def follow(self, backends: Iterable[RouteBackends]) -> None:
        """Ask these from now on, and no others."""
        before, self._asked = self._asked, {}
        for one in backends:
            known = before.get(one.name)
            if known is not None and known[0] is one:
                self._asked[one.name] = before.pop(one.name)
            elif one.health_settings is not None:
                self._asked[one.name] = one, self._begun(one, one.health_settings)
        for _, tasks in before.values():
            for task in tasks:
                task.cancel()
        if self._asked and self._leads is not None and self._leading is None:
            self._leading = asyncio.create_task(self._lead(self._leads), name="health of backends")

    async def close(self) -> None:
        tasks = [task for _, begun in self._asked.values() for task in begun]
        tasks += [] if self._leading is None else [self._leading]
        self._asked.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begun(self, backends: RouteBackends, settings: HealthSettings) -> list[asyncio.Task[None]]:
        return [
            asyncio.create_task(self._ask(backends, state, settings), name=f"health of {state.label}")
            for state in backends.states
        ]

    async def _ask(self, backends: RouteBackends, state: BackendState, settings: HealthSettings) -> None:
        row = HealthRow(settings.healthy_after, settings.unhealthy_after)
        while True:
            if self._is_leader:
                wrong = await self._wrong(state, settings)
                row.is_well = backends.health()[state.place]
                if self._is_leader and row.heard(is_good=wrong is None):
                    backends.health_found(state.place, is_well=row.is_well, why=wrong or "is well again")
            await asyncio.sleep(settings.interval)

    async def _wrong(self, state: BackendState, settings: HealthSettings) -> str | None:
        try:
            return await what_is_wrong(self._pools, state.backend, settings.path, settings.timeout)
        except Exception as error:
            _logger.exception("a backend could not be asked", extra={"event": "internal_error"})
            return f"the question failed: {type(error).__name__}"

    async def _lead(self, leads: Leads) -> None:
        while True:
            try:
                self._is_leader = await leads()
                if self._is_leader and self._tell_siblings is not None:
                    await self._share(self._tell_siblings)
            except ControlError:
                self._is_leader = False  # until the supervisor says otherwise
            await asyncio.sleep(_ROUND_S)

    async def _share(self, tell: TellSiblings) -> None:
        found = {name: one.health() for name, (one, _) in self._asked.items()}
        self._rounds += 1
        is_due = self._rounds % _TOLD_AGAIN_AFTER_ROUNDS == 0 and not all(map(all, found.values()))
        if found != self._told or is_due:
            await tell({HEALTH: found})
            self._told = found


def take_over(backends: Mapping[str, RouteBackends], found: Mapping[str, Sequence[bool]]) -> None:
    """Believe what the worker that asks has found. Routes that this one does not have are left out."""
    for name, health in found.items():
        known = backends.get(name)
        if known is not None and known.health_settings is not None and len(health) == len(known.states):
            for place, is_well in enumerate(health):
                known.health_found(place, is_well=is_well)
