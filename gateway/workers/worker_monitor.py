"""Keeping one worker alive on one listening socket."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from gateway.workers.control import ChannelClosedError, ControlError
from gateway.workers.worker import ConfigSource
from gateway.workers.worker_process import Spread, WorkerProcess

_logger = logging.getLogger(__name__)

# A worker that dies sooner than this after its start is replaced only after a wait, which doubles each time.
_STEADY_S = 5.0
_BACKOFF_FIRST_S = 0.1
_BACKOFF_MAX_S = 5.0


class Counting(Protocol):
    """How snapshots are added up, which is the business of whoever makes them."""

    def merge(self, snapshots: Iterable[Mapping[str, Any]]) -> dict[str, Any]: ...

    def without_gauges(self, snapshot: Mapping[str, Any]) -> dict[str, Any]: ...


class WorkerMonitor:
    """`worker` is the present one, which may only be starting; `departed` is what those before it counted.

    `first` is settled when the first worker serves (None) or has failed (why). `source` gives the configuration of
    the moment. `run` ends when `draining` is set and the worker has gone; a worker that comes after `leaving` is set
    begins as a lame duck.
    """

    def __init__(
        self,
        command: Sequence[str],
        listener: socket.socket,
        source: Callable[[], ConfigSource],
        *,
        counting: Counting,
        leaving: asyncio.Event,
        draining: asyncio.Event,
        spread: Spread,
    ) -> None:
        self.worker: WorkerProcess | None = None
        self.departed: dict[str, Any] = {}
        self.first: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._command = command
        self._listener = listener
        self._source = source
        self._counting = counting
        self._leaving = leaving
        self._draining = draining
        self._spread = spread

    async def run(self) -> None:
        early_deaths = 0
        while not self._draining.is_set():
            began = time.monotonic()
            self._settle(await self._live())
            early_deaths = early_deaths + 1 if time.monotonic() - began < _STEADY_S else 0
            if early_deaths:
                await self._pause(min(_BACKOFF_FIRST_S * 2 ** (early_deaths - 1), _BACKOFF_MAX_S))
        self._settle("stopped before it served")

    async def _live(self) -> str:
        """The life of one worker, from its start to its end; why it ended."""
        try:
            worker = await WorkerProcess.spawn(self._command, self._listener, self._spread)
        except OSError as error:
            event(logging.ERROR, "worker_not_started", 0, str(error))
            return f"a process cannot be started: {error.strerror}"
        self.worker = worker
        try:
            reason = await self._configure(worker) or await self._serve(worker)
        finally:
            self.worker = None
            self.departed = self._counting.merge([self.departed, self._counting.without_gauges(worker.snapshot)])
            await worker.abandon()
        event(logging.INFO if self._draining.is_set() else logging.WARNING, "worker_ended", worker.pid, reason)
        return reason

    async def _configure(self, worker: WorkerProcess) -> str | None:
        """Hand over the configuration; None when it serves, otherwise why it does not."""
        if self._draining.is_set():
            return "stopped before it served"
        try:
            await worker.configure(self._source())
            if self._leaving.is_set():
                await worker.lame_duck()
        except ChannelClosedError:
            return f"{_exit_words(await worker.gone())} before it served"
        except ControlError as error:
            return str(error)
        return None

    async def _serve(self, worker: WorkerProcess) -> str:
        event(logging.INFO, "worker_started", worker.pid, "serving")
        self._settle(None)
        watching = asyncio.create_task(worker.watch(), name=f"watch of worker {worker.pid}")
        try:
            return _exit_words(await worker.gone())
        finally:
            watching.cancel()

    def _settle(self, outcome: str | None) -> None:
        if not self.first.done():
            self.first.set_result(outcome)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._draining.wait()
        except TimeoutError:
            pass


def event(level: int, word: str, pid: int, words: str) -> None:
    """Log what happened to a worker."""
    _logger.log(level, "worker %d: %s", pid, words, extra={"event": word, "fields": {"pid": pid}})


def _exit_words(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"ended by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal has no name
        return f"ended by signal {-status}"
