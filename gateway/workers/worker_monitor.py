"""Keeps one worker alive on its listening sockets.

How this works:

- `WorkerMonitor.run` loops until `draining` is set: spawn a worker, hand it the configuration, wait until it is gone.
- A worker that dies within `_STEADY_S` of its start is replaced only after a pause. The pause doubles each time.
- While the worker serves, `WorkerProcess.watch` asks it for its readiness and its counts, and kills it when it is
  stuck.
- What a worker counted is added to `departed` when it ends, so that the sums of a scrape never go down.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from gateway.authn.seen_proofs import Use, UseOutcome
from gateway.workers.control import ChannelClosedError, ControlError
from gateway.workers.worker import ConfigSource
from gateway.workers.worker_process import Broadcast, WorkerProcess

_logger = logging.getLogger(__name__)

# A worker that dies sooner than this after its start is replaced only after a pause, which doubles each time.
_STEADY_S = 5.0
_BACKOFF_FIRST_S = 0.1
_BACKOFF_MAX_S = 5.0


class Counting(Protocol):
    """Adds up snapshots; the module that makes snapshots implements it."""

    def merge(self, snapshots: Iterable[Mapping[str, Any]]) -> dict[str, Any]: ...

    def without_gauges(self, snapshot: Mapping[str, Any]) -> dict[str, Any]: ...


class WorkerMonitor:
    """Starts a worker, watches it, and replaces it when it ends.

    `worker` is the present one, which may only be starting. `departed` holds the counts of those before it. The future
    `first` is set when the first worker serves (to None) or has failed (to the reason). `source` gives the
    configuration in force. `run` ends when `draining` is set and the worker has gone. A worker that starts after
    `leaving` is set begins as a lame duck.
    """

    def __init__(
        self,
        command: Sequence[str],
        listeners: Sequence[socket.socket],
        source: Callable[[], ConfigSource],
        *,
        counting: Counting,
        leaving: asyncio.Event,
        draining: asyncio.Event,
        broadcast: Broadcast,
        on_restart: Callable[[], object] = lambda: None,
        leads: Callable[[WorkerProcess], bool] = lambda _: False,
        claim: Callable[[Use], str] = lambda _: UseOutcome.FULL.name,
    ) -> None:
        self.worker: WorkerProcess | None = None
        self.departed: dict[str, Any] = {}
        self.first: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._command = command
        self._listeners = listeners
        self._source = source
        self._counting = counting
        self._leaving = leaving
        self._draining = draining
        self._broadcast = broadcast
        self._on_restart = on_restart
        self._leads = leads
        self._claim = claim

    async def run(self) -> None:
        early_deaths = 0
        while not self._draining.is_set():
            began = time.monotonic()
            self._settle(await self._run_one())
            early_deaths = early_deaths + 1 if time.monotonic() - began < _STEADY_S else 0
            if early_deaths:
                await self._pause(min(_BACKOFF_FIRST_S * 2 ** (early_deaths - 1), _BACKOFF_MAX_S))
            if not self._draining.is_set():
                self._on_restart()
        self._settle("stopped before it served")

    async def _run_one(self) -> str:
        """Run one worker from its start to its end. Returns why it ended."""
        try:
            worker = await WorkerProcess.spawn(self._command, self._listeners, self._broadcast)
        except OSError as error:
            event(logging.ERROR, "worker_not_started", 0, str(error))
            return f"a process cannot be started: {error.strerror}"
        self.worker = worker
        worker.leads = lambda: self._leads(worker)
        worker.claim = self._claim
        try:
            reason = await self._configure(worker) or await self._serve(worker)
        finally:
            self.worker = None
            self.departed = self._counting.merge([self.departed, self._counting.without_gauges(worker.snapshot)])
            await worker.abandon()
        event(logging.INFO if self._draining.is_set() else logging.WARNING, "worker_ended", worker.pid, reason)
        return reason

    async def _configure(self, worker: WorkerProcess) -> str | None:
        """Hand over the configuration. Returns None when the worker serves, otherwise the reason why it does not."""
        if self._draining.is_set():
            return "stopped before it served"
        try:
            await worker.configure(self._source())
            if self._leaving.is_set():
                await worker.lame_duck()
        except ChannelClosedError:
            return f"{_exit_reason(await worker.gone())} before it served"
        except ControlError as error:
            return str(error)
        return None

    async def _serve(self, worker: WorkerProcess) -> str:
        """Watch the worker until it is gone. Returns why it ended."""
        event(logging.INFO, "worker_started", worker.pid, "serving")
        self._settle(None)
        watching = asyncio.create_task(worker.watch(), name=f"watch of worker {worker.pid}")
        try:
            return _exit_reason(await worker.gone())
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


def event(level: int, name: str, pid: int, text: str) -> None:
    """Log what happened to a worker."""
    _logger.log(level, "worker %d: %s", pid, text, extra={"event": name, "fields": {"pid": pid, "reason": text}})


# The kernel tells nobody else.
_OUT_OF_MEMORY = "; where nobody sent that, memory ran out: see dmesg or the container's state, and give it more"


def _exit_reason(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        ended = f"ended by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal has no name
        return f"ended by signal {-status}"
    return ended + _OUT_OF_MEMORY if -status == signal.SIGKILL else ended
