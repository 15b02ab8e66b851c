"""Follows the fleet's log of purges, and delivers purges that could not be told at once.

    out of sync ── connect, read the log to its end ──> in sync ── no look for `_IN_SYNC_S`, or an error ──> out of sync

One task runs `_follow`. A blocking read ends when somebody purges. It is cut short several times a second, to see that
the log is still the same one. That look is also the heartbeat: a process that has not seen the log lately is out of
sync. It must not use shared results, because they may have been purged. A purge that cannot be told waits in the outbox
until the next look. After an error the task pauses, each time longer, at a random moment. `close` cancels it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from gateway.cache.connect import FAILURES
from gateway.cache.purge_log import LOG_TTL_S, LogGoneError, PurgeLog
from gateway.cache.redis_trouble import RedisTrouble
from gateway.cache.within import within
from gateway.introspection.tag_purge import TagPurge, purge_everything

_log = logging.getLogger(__name__)

# The fleet follows a purge within a second. Together these stay below it even when the connection falls silent.
_LOOK_S = 0.4
_ANSWER_S = 0.5
_IN_SYNC_S = 1.5  # a look is missed, and a busy process is late
_CONNECT_S = 2.0
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.05, 1.0
_RENEW_S = LOG_TTL_S / 24
_OUTBOX_MAX = 1_000


class Follower:
    """Follows `log`. Awaits `warm_up` whenever it finds the log again, before it is in sync; and `renew` now
    and then.
    """

    def __init__(
        self,
        log: PurgeLog,
        warm_up: Callable[[], Awaitable[None]],
        monotonic: Callable[[], float],
        renew: Callable[[], Awaitable[None]] | None = None,
        trouble: RedisTrouble | None = None,
    ) -> None:
        self._trouble = trouble or RedisTrouble()
        self._renew = renew
        self._purge_log = log
        self._warm_up = warm_up
        self._monotonic = monotonic
        self._seen_at_s: float | None = None  # None: out of step by what we know
        self._renew_at_s = 0.0
        self._outbox: dict[bytes, tuple[TagPurge, float]] = {}
        self._unread: dict[bytes, tuple[TagPurge, float]] = {}  # told, and not yet read back from the log
        self._first_sync = asyncio.Event()
        self._next_sync = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def in_sync(self) -> bool:
        return self._seen_at_s is not None and self._monotonic() - self._seen_at_s <= _IN_SYNC_S

    async def start(self, on_purge: Callable[[TagPurge], object], wait_s: float) -> None:
        """Starts the task. Returns when in sync, at the latest after `wait_s`. Raises nothing when Redis is down."""
        self._task = asyncio.get_running_loop().create_task(self._follow(on_purge))
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._first_sync.wait()

    async def close(self) -> None:
        while self._task is not None and not self._task.done():
            # Cancel again and again, should a library swallow a cancellation.
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_ANSWER_S)

    def renew_soon(self) -> None:
        self._renew_at_s = 0.0

    async def publish(self, purge: TagPurge, until_s: float) -> bool:
        """Tells the fleet and returns whether that worked. If not, tries again until `until_s` on the
        monotonic clock.
        """
        if self.in_sync:
            with suppress(LogGoneError, *FAILURES):
                async with within(_ANSWER_S):
                    await self._tell(purge, until_s)
                return True
        if len(self._outbox) >= _OUTBOX_MAX:
            purge = purge_everything()
            self._outbox.clear()
        self._outbox[purge.id] = (purge, until_s)
        reason = self._trouble.reason or "Redis gave no answer in time"
        extra = {"event": "purge_delayed", "fields": {"reason": reason}}
        _log.warning("a purge could not be told to the fleet; it will be tried again: %s", reason, extra=extra)
        return False

    async def reads_back(self, purge_id: bytes) -> bool:
        """Whether an order that was published is read back from the log, within the longest time that takes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S + _ANSWER_S):
                while not self._purge_log.has_read(purge_id):
                    await self._next_sync.wait()
        return self._purge_log.has_read(purge_id)

    async def _follow(self, on_purge: Callable[[TagPurge], object]) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with within(_CONNECT_S):
                    await self._sync(on_purge)
                pause_s = _FIRST_PAUSE_S
                async with within(_LOOK_S + _ANSWER_S):
                    await self._purge_log.wait(_LOOK_S)
            except (LogGoneError, *FAILURES) as error:
                self._lost(error)
                # Random, so that not all of a fleet come back at the same instant.
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
                pause_s = min(2 * pause_s, _LAST_PAUSE_S)

    async def _sync(self, on_purge: Callable[[TagPurge], object]) -> None:
        if not self.in_sync:
            await self._warm_up()
        looked_at_s = self._monotonic()
        told = list(self._unread)
        await self._purge_log.catch_up(on_purge)
        self._tell_again(told)
        self._trouble.succeeded()
        self._seen_at_s = looked_at_s
        self._first_sync.set()
        self._next_sync.set()
        self._next_sync = asyncio.Event()
        await self._deliver()
        if looked_at_s >= self._renew_at_s:
            self._renew_at_s = looked_at_s + _RENEW_S
            await self._purge_log.renew()
            if self._renew is not None:
                await self._renew()

    async def _deliver(self) -> None:
        for purge, until_s in list(self._outbox.values()):
            # Past `until_s` all results that were to be forgotten have expired.
            if self._monotonic() < until_s:
                await self._tell(purge, until_s)
            self._outbox.pop(purge.id, None)

    async def _tell(self, purge: TagPurge, until_s: float) -> None:
        await self._purge_log.append(purge)
        self._unread[purge.id] = purge, until_s

    def _tell_again(self, told: Iterable[bytes]) -> None:
        """Has the fleet told again of what a primary took with it, when its successor had not heard of it.

        Others need not notice that: to those that had not read it, the log looks whole. For what had been read here,
        the log's new epoch voids everything.
        """
        for purge_id in told:
            purge, until_s = self._unread.pop(purge_id)
            if not self._purge_log.has_read(purge_id):
                self._outbox[purge_id] = purge, until_s

    def _lost(self, error: BaseException) -> None:
        self._trouble.failed(error, self._monotonic())
        self._seen_at_s = None
