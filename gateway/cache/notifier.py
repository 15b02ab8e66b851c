"""Wakes those who wait for another process's result, by messages on one channel of the fleet.

    connecting ── subscribed ──> listening: wake the waiters of each digest ── lost ──> pause ──> connecting

A message names a key by its digest and says nothing else. It may be lost, and anybody who can publish may send one. So
a waiter that is woken looks for itself, and also looks now and then without being woken. Nobody waits for the
subscription, and its loss harms nobody. When it comes back everybody is woken, for the messages that were missed. One
task holds the subscription; `close` cancels it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redis.exceptions import ResponseError

from gateway.cache.connect import FAILURES, Link
from gateway.introspection.lease_port import LeaseSignal

_log = logging.getLogger(__name__)

_CONNECT_S = 2.0
# A connection that has been silent for this time is pinged.
_SILENCE_S = 5.0
_ANSWER_S = 1.0
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.05, 1.0


class _EventSignal:
    def __init__(self) -> None:
        self.event = asyncio.Event()

    async def wait(self, at_most_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self.event.wait()
        self.event.clear()


class Notifier:
    """Holds the subscription. `connect` makes a new client each time, because a cluster's nodes come and go."""

    def __init__(
        self,
        connect: Callable[[], Link],
        channel: str,
        on_refusal: Callable[[BaseException], object] = lambda _error: None,
    ) -> None:
        """`on_refusal` is told where Redis replies and does not let it subscribe."""
        self.channel = channel
        self.listening = False
        self._connect = connect
        self._on_refusal = on_refusal
        self._signals: dict[bytes, set[_EventSignal]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="notifier of the fleet")

    async def close(self) -> None:
        while self._task is not None and not self._task.done():
            # Cancel again and again, should a library swallow a cancellation.
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_ANSWER_S)

    @contextmanager
    def signal(self, mark: bytes) -> Iterator[LeaseSignal]:
        """Rings for messages that bear `mark`, from entering on."""
        signal = _EventSignal()
        signals = self._signals.setdefault(mark, set())
        signals.add(signal)
        try:
            yield signal
        finally:
            signals.discard(signal)
            if not signals and self._signals.get(mark) is signals:
                del self._signals[mark]

    async def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            link = self._connect()
            try:
                await self._listen(link)
            except FAILURES as error:
                if isinstance(error, ResponseError):
                    self._on_refusal(error)
                if self.listening:
                    pause_s = _FIRST_PAUSE_S
                    # Only the class: the text of an error may quote an address or a reply.
                    said = {"event": "notifications_lost"}
                    _log.info("the fleet's notifications are lost: %s", type(error).__name__, extra=said)
            finally:
                self.listening = False
                with suppress(*FAILURES):
                    await link.close()
            # Random, so that not all of a fleet come back at the same instant.
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)

    async def _listen(self, link: Link) -> None:
        """Listens until the connection is lost, which raises."""
        subscription: Any = link.client.pubsub()
        try:
            async with asyncio.timeout(_CONNECT_S):
                await subscription.subscribe(self.channel)
            while True:
                self._wake(await self._message(subscription))
        finally:
            with suppress(*FAILURES):
                await subscription.aclose()

    async def _message(self, subscription: Any) -> Any:
        message = await subscription.get_message(timeout=_SILENCE_S)
        if message is None:
            async with asyncio.timeout(_ANSWER_S):
                await subscription.ping()
                message = await subscription.get_message(timeout=None)
        return message

    def _wake(self, message: Any) -> None:
        match message:
            case {"type": "message", "data": bytes(mark)}:
                signals = self._signals.get(mark, set())
            case {"type": "subscribe"}:
                self.listening = True
                signals = {signal for each in self._signals.values() for signal in each}
            case _:
                return
        for signal in signals:
            signal.event.set()
