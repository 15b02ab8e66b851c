"""Forgetting everywhere: in this process at once, in the instance's other workers, and in the fleet.

The other workers are told by the supervisor, in clear, because without a shared secret each has keys of its own; the
fleet by the log in Redis. Both carry one id, so that who hears of an order twice forgets once.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from gateway.authn.bearer import Token
from gateway.events.event_receiver import NotEverywhereError
from gateway.introspection.invalidation import (
    ClaimSelector,
    Invalidation,
    SeenEvent,
    evict,
    has_token_type,
    invalidation_to_json,
    revoked_elsewhere,
    was_seen,
)
from gateway.introspection.tag_purge import TagPurge
from gateway.proxy.generation import Generation
from gateway.runtime.token_type_sharing import share_token_type
from gateway.workers.control import ControlError

_logger = logging.getLogger(__name__)

Spread = Callable[[Mapping[str, Any]], Awaitable[object]]

# What is repeated is gathered for so long, and told in orders of so many, which fit into a message of the log.
_TURN_S = 0.25
_ORDER_MAX = 200
_PENDING_MAX = 20_000
# Tokens that turned out inactive: hardly longer than it takes to tell of one.
_GATHERING_S = 0.02
_GATHERED_MAX = 2_000

_T = TypeVar("_T")


class InvalidationBroadcaster:
    """`forget` drops in this process what a purge covers. `spread` tells the instance's other workers, if any."""

    def __init__(
        self, running: Callable[[], Generation], forget: Callable[[TagPurge], object], spread: Spread | None
    ) -> None:
        self._running = running
        self._forget = forget
        self._spread = spread
        self._tasks: set[asyncio.Task[Any]] = set()
        self._gathered: dict[str, Token] = {}
        self._has_left_out = False
        self._telling: asyncio.Task[None] | None = None

    async def evict(self, eviction: Invalidation) -> None:
        """Returns when no worker of the instance remembers it, and the fleet has been told or will be.

        Raises `NotEverywhereError` where a worker may still remember. Goes on when the caller is cancelled.
        """
        await self.finish(self._evict(eviction))

    def evict_soon(self, eviction: Invalidation) -> None:
        """The same for a caller who cannot wait."""
        self.own(self._evict_or_say(eviction))

    def tell_workers_of(self, token: Token) -> None:
        """Have the instance's other workers forget a token that this one knows better of, soon.

        For what the fleet cannot be told of. Many at about the same time are few orders; what is beyond
        `_GATHERED_MAX` while the others do not answer is left out, and that is logged.
        """
        if self._spread is None:
            return
        if len(self._gathered) >= _GATHERED_MAX:
            if not self._has_left_out:  # once for all that come while they wait
                _logger.warning(
                    "evictions have not reached everybody: too many wait", extra={"event": "eviction_failed"}
                )
            self._has_left_out = True
            return
        self._gathered[token.value] = token
        if self._telling is None or self._telling.done():
            self._telling = self.own(self._tell_gathered())

    async def tell_workers_seen(self, seen: SeenEvent) -> None:
        """Have the instance's other workers know an event again: where it is sent to them, it is a replay."""
        await self._tell_workers_or_say(was_seen(seen))

    def tell_of_token_type(self, identity: bytes) -> None:
        """Have the instance's other workers and the fleet know what a provider's access tokens have."""
        cache = self._running().cache
        self.own(self._tell_workers_or_say(has_token_type(identity)))
        if cache.shared is not None:
            self.own(share_token_type(identity, cache.keys, cache.shared))

    async def finish(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What `work` returns or raises; it is brought to its end whether the caller stays or not."""
        return await asyncio.shield(self.own(work))

    async def close(self, within_s: float) -> None:
        """Let what is under way end for `within_s`."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _evict(self, eviction: Invalidation) -> None:
        shared = self._running().cache.shared
        purge = self.here(eviction)
        telling = [self._tell_workers(eviction)]
        if shared is not None:
            telling.append(_tell_fleet(shared.publish_purge(purge)))
        failures = [failure for failure in await asyncio.gather(*telling) if failure is not None]
        if failures:
            raise NotEverywhereError(f"not all workers have forgotten it: {failures[0]}")

    async def _evict_or_say(self, eviction: Invalidation) -> None:
        try:
            await self._evict(eviction)
        except NotEverywhereError as error:
            _logger.warning("an eviction has not reached everybody: %s", error, extra={"event": "eviction_failed"})

    async def _tell_gathered(self) -> None:
        while self._gathered:
            await asyncio.sleep(_GATHERING_S)
            tokens = [self._gathered.pop(value) for value in list(self._gathered)[:_ORDER_MAX]]
            await self._tell_workers_or_say(revoked_elsewhere(tokens))
        self._has_left_out = False

    async def _tell_workers_or_say(self, eviction: Invalidation) -> None:
        if (failure := await self._tell_workers(eviction)) is not None:
            _logger.warning("an eviction has not reached everybody: %s", failure, extra={"event": "eviction_failed"})

    def own(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Begin `work`, which `close` waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def here(self, eviction: Invalidation) -> TagPurge:
        """Forget in this process alone."""
        running = self._running()
        if eviction.seen is not None:
            running.receiver.remember(eviction.seen)
        if eviction.typed is not None:
            running.learn_token_type(eviction.typed)
        purge = running.authenticator.purge_for(eviction)
        if purge.marks:
            self._forget(purge)
        return purge

    async def _tell_workers(self, eviction: Invalidation) -> str | None:
        """Why they may not all have done it; `None` when they have."""
        if self._spread is None:
            return None
        try:
            await self._spread(invalidation_to_json(eviction))
        except ControlError as error:
            return str(error)
        return None


async def _tell_fleet(publishing: Awaitable[bool]) -> None:
    """It is told later where it cannot be now, and so this is no failure."""
    if not await publishing:
        _logger.warning("the fleet could not be told of an eviction yet", extra={"event": "purge_delayed"})


class DelayedInvalidations:
    """Evicts again after a while: a provider may tell of a logout while it still calls the session's tokens active.

    What falls due at about the same time is one order, so that many events make few. The number of what waits is
    bounded; what is beyond has been evicted once.
    """

    def __init__(self, evicting: InvalidationBroadcaster) -> None:
        self._evicting = evicting
        self._due: dict[int, dict[ClaimSelector, None]] = {}  # turn -> what falls due then
        self._pending = 0
        self._task: asyncio.Task[None] | None = None

    def after(self, delays_s: Iterable[float], named: Iterable[ClaimSelector]) -> None:
        """Evict `named` again after each of `delays_s`."""
        names = dict.fromkeys(named)
        now_s = asyncio.get_running_loop().time()
        for delay_s in delays_s:
            if self._pending + len(names) > _PENDING_MAX:
                return
            waiting = self._due.setdefault(math.ceil((now_s + delay_s) / _TURN_S), {})
            self._pending += len(names.keys() - waiting.keys())
            waiting.update(names)
        if self._due and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._run(), name="repeated evictions")

    async def close(self) -> None:
        """What still waits is evicted now, which is better than never; `InvalidationBroadcaster.close` lets it end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._evict(dict.fromkeys(named for waiting in self._due.values() for named in waiting))
        self._due.clear()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._due:
            turn = min(self._due)
            wait_s = turn * _TURN_S - loop.time()
            if wait_s > 0:
                # No longer than a turn: what falls due sooner may come meanwhile.
                await asyncio.sleep(min(wait_s, _TURN_S))
                continue
            waiting = self._due.pop(turn)
            self._pending -= len(waiting)
            self._evict(waiting)

    def _evict(self, waiting: Iterable[ClaimSelector]) -> None:
        named = list(waiting)
        for start in range(0, len(named), _ORDER_MAX):
            self._evicting.evict_soon(evict(named[start : start + _ORDER_MAX]))
