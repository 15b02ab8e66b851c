"""Forgets tokens everywhere: in this process at once, in the instance's other workers, and in the fleet.

How this works:

- `broadcast` applies an invalidation locally, then tells the other workers and the fleet at the same time.
- The supervisor tells the other workers, in clear, because without a shared secret each worker has its own keys. The
  log in Redis tells the fleet. Both carry one id, so that a process that hears of it twice applies it once.
- Tokens that turn out inactive are gathered for a moment and told to the other workers in batches.
- `DelayedInvalidations` broadcasts what an event named again after a while, also in batches.
- Every task has an owner: `close` waits for those under way, then cancels them.
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
    event_seen,
    has_token_type,
    invalidation_to_json,
    new_invalidation,
    revoked_elsewhere,
)
from gateway.introspection.tag_purge import TagPurge
from gateway.proxy.generation import Generation
from gateway.runtime.token_type_sharing import share_token_type
from gateway.workers.control import ControlError

_logger = logging.getLogger(__name__)

Broadcast = Callable[[Mapping[str, Any]], Awaitable[object]]

# Delayed invalidations that fall due within one slot go out together, in batches that fit into a message of the log.
_SLOT_S = 0.25
_BATCH_MAX = 200
_PENDING_MAX = 20_000
# How long inactive tokens are gathered: hardly longer than it takes to tell of one.
_GATHERING_S = 0.02
_GATHERED_MAX = 2_000

_T = TypeVar("_T")


class InvalidationBroadcaster:
    """Applies invalidations in this process and tells everybody else.

    `forget` drops what a purge covers in this process. `tell_siblings` tells the instance's other workers, if any.
    """

    def __init__(
        self, in_force: Callable[[], Generation], forget: Callable[[TagPurge], object], tell_siblings: Broadcast | None
    ) -> None:
        self._in_force = in_force
        self._forget = forget
        self._tell_siblings = tell_siblings
        self._tasks: set[asyncio.Task[Any]] = set()
        self._gathered: dict[str, Token] = {}
        self._has_left_out = False
        self._telling: asyncio.Task[None] | None = None

    async def broadcast(self, invalidation: Invalidation) -> None:
        """Return when all workers of the instance have applied it, and the fleet has been told or will be.

        Raises `NotEverywhereError` where a worker may not have applied it. Goes on when the caller is cancelled.
        """
        await self.finish(self._broadcast(invalidation))

    def broadcast_soon(self, invalidation: Invalidation) -> None:
        """Do the same for a caller that cannot wait."""
        self.own(self._broadcast_or_log(invalidation))

    def tell_workers_of(self, token: Token) -> None:
        """Have the instance's other workers soon forget a token that this one knows to be inactive.

        This is for what the fleet cannot be told of. Many tokens at about the same time make few messages. While the
        others do not answer, tokens beyond `_GATHERED_MAX` are left out, and the log says so.
        """
        if self._tell_siblings is None:
            return
        if len(self._gathered) >= _GATHERED_MAX:
            if not self._has_left_out:  # log once for all that come while these wait
                _logger.warning(
                    "invalidations have not reached everybody: too many wait", extra={"event": "eviction_failed"}
                )
            self._has_left_out = True
            return
        self._gathered[token.value] = token
        if self._telling is None or self._telling.done():
            self._telling = self.own(self._tell_gathered())

    async def tell_workers_seen(self, seen: SeenEvent) -> None:
        """Have the instance's other workers remember an event: one that is sent to them is a replay then."""
        await self._tell_workers_or_log(event_seen(seen))

    def tell_of_token_type(self, identity: bytes) -> None:
        """Have the instance's other workers and the fleet know that a provider's access tokens have a `token_type`."""
        cache = self._in_force().cache
        self.own(self._tell_workers_or_log(has_token_type(identity)))
        if cache.shared is not None:
            self.own(share_token_type(identity, cache.keys, cache.shared))

    async def finish(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Return or raise the outcome of `work`, which runs to its end even where the caller is cancelled."""
        return await asyncio.shield(self.own(work))

    async def close(self, within_s: float) -> None:
        """Wait up to `within_s` for what is under way, then cancel it."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _broadcast(self, invalidation: Invalidation) -> None:
        shared = self._in_force().cache.shared
        purge = self.apply_locally(invalidation)
        telling = [self._tell_workers(invalidation)]
        if shared is not None:
            telling.append(_tell_fleet(shared.publish_purge(purge)))
        failures = [failure for failure in await asyncio.gather(*telling) if failure is not None]
        if failures:
            raise NotEverywhereError(f"not all workers have forgotten it: {failures[0]}")

    async def _broadcast_or_log(self, invalidation: Invalidation) -> None:
        try:
            await self._broadcast(invalidation)
        except NotEverywhereError as error:
            _logger.warning("an invalidation has not reached everybody: %s", error, extra={"event": "eviction_failed"})

    async def _tell_gathered(self) -> None:
        while self._gathered:
            await asyncio.sleep(_GATHERING_S)
            tokens = [self._gathered.pop(value) for value in list(self._gathered)[:_BATCH_MAX]]
            await self._tell_workers_or_log(revoked_elsewhere(tokens))
        self._has_left_out = False

    async def _tell_workers_or_log(self, invalidation: Invalidation) -> None:
        if (failure := await self._tell_workers(invalidation)) is not None:
            _logger.warning(
                "an invalidation has not reached everybody: %s", failure, extra={"event": "eviction_failed"}
            )

    def own(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Begin `work` in a task that `close` waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def apply_locally(self, invalidation: Invalidation) -> TagPurge:
        """Apply `invalidation` only in this process."""
        generation = self._in_force()
        if invalidation.seen is not None:
            generation.receiver.remember(invalidation.seen)
        if invalidation.typed is not None:
            generation.learn_token_type(invalidation.typed)
        purge = generation.authenticator.purge_of_invalidation(invalidation)
        if purge.tags:
            self._forget(purge)
        return purge

    async def _tell_workers(self, invalidation: Invalidation) -> str | None:
        """The reason why some worker may not have applied it; `None` when all have."""
        if self._tell_siblings is None:
            return None
        try:
            await self._tell_siblings(invalidation_to_json(invalidation))
        except ControlError as error:
            return str(error)
        return None


async def _tell_fleet(publishing: Awaitable[bool]) -> None:
    """Await the publishing. Where Redis is away, the log says so and the fleet is told later: this is not a failure."""
    await publishing


class DelayedInvalidations:
    """Invalidates again after a while: a provider may announce a logout while it still calls the tokens active.

    Those that fall due in one slot of time go out together, so that many events make few messages. The number that
    waits is bounded; one beyond that has been invalidated once, at the event itself.
    """

    def __init__(self, broadcaster: InvalidationBroadcaster) -> None:
        self._broadcaster = broadcaster
        self._due: dict[int, dict[ClaimSelector, None]] = {}  # slot -> the selectors that fall due in it
        self._pending = 0
        self._task: asyncio.Task[None] | None = None

    def after(self, delays_s: Iterable[float], selectors: Iterable[ClaimSelector]) -> None:
        """Invalidate `selectors` again after each of `delays_s`."""
        wanted = dict.fromkeys(selectors)
        now_s = asyncio.get_running_loop().time()
        for delay_s in delays_s:
            if self._pending + len(wanted) > _PENDING_MAX:
                return
            waiting = self._due.setdefault(math.ceil((now_s + delay_s) / _SLOT_S), {})
            self._pending += len(wanted.keys() - waiting.keys())
            waiting.update(wanted)
        if self._due and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._run(), name="repeated evictions")

    async def close(self) -> None:
        """Invalidate all that still waits now, which is better than never. The broadcaster's `close` waits for it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._broadcast(dict.fromkeys(selector for waiting in self._due.values() for selector in waiting))
        self._due.clear()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._due:
            slot = min(self._due)
            wait_s = slot * _SLOT_S - loop.time()
            if wait_s > 0:
                # Not longer than a slot: something that falls due sooner may come meanwhile.
                await asyncio.sleep(min(wait_s, _SLOT_S))
                continue
            waiting = self._due.pop(slot)
            self._pending -= len(waiting)
            self._broadcast(waiting)

    def _broadcast(self, waiting: Iterable[ClaimSelector]) -> None:
        selectors = list(waiting)
        for start in range(0, len(selectors), _BATCH_MAX):
            self._broadcaster.broadcast_soon(new_invalidation(selectors[start : start + _BATCH_MAX]))
