"""The process that holds the listening sockets and keeps one worker alive on each.

It carries no traffic itself. A worker that dies is replaced on the same socket, so that connections waiting there
are served, with the configuration that was accepted, not the one on the disk; what it counted goes on counting.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from gateway.workers.control import ChannelClosedError, ControlError, FailedError, RefusedError
from gateway.workers.instance import InstanceError, Readiness, worst_breakers
from gateway.workers.sockets import unbind
from gateway.workers.worker import ConfigSource
from gateway.workers.worker_monitor import Counting, WorkerMonitor, event
from gateway.workers.worker_process import WorkerProcess

# What is killed ends at once, unless the kernel itself is stuck.
_KILLED_S = 5.0
_PURGE_ID_BYTES = 16


class StartError(Exception):
    """No worker could be started; the text is a reason."""


class ReloadRefusedError(Exception):
    """The worker that was asked first did not take the new configuration, so the old one stays; the text says why."""


class Supervisor:
    """An `Instance` of several processes. `start` first, `drain` last; it owns `sockets`, one for each worker.

    `command` starts a worker, with `--control-fd N --listen-fd M` put after it. `own_snapshot` is what this process
    counts itself; `routes` is for the admin listener.
    """

    def __init__(
        self,
        command: Sequence[str],
        sockets: Sequence[socket.socket],
        source: ConfigSource,
        *,
        counting: Counting,
        own_snapshot: Callable[[], Mapping[str, Any]] = dict,
        routes: Callable[[], Sequence[Mapping[str, Any]]] = list,
    ) -> None:
        self._command = tuple(command)
        self._sockets = tuple(sockets)
        self._source = source
        self._counting = counting
        self._own_snapshot = own_snapshot
        self._routes = routes
        self._keepers: list[WorkerMonitor] = []
        self._running: list[asyncio.Task[None]] = []
        self._reloading = asyncio.Lock()
        self._leaving = asyncio.Event()  # not ready any more, and about to drain
        self._draining = asyncio.Event()
        self._all_were_ready = False

    async def start(self) -> None:
        """Start all workers; returns when each serves or has failed once. Raises `StartError` when none serves."""
        for listener in self._sockets:
            keeper = WorkerMonitor(
                self._command,
                listener,
                lambda: self._source,
                counting=self._counting,
                leaving=self._leaving,
                draining=self._draining,
                spread=self._spread,
            )
            self._keepers.append(keeper)
            self._running.append(asyncio.create_task(keeper.run(), name="worker keeper"))
        outcomes = [await keeper.first for keeper in self._keepers]
        failures = [outcome for outcome in outcomes if outcome is not None]
        if len(failures) == len(outcomes):
            await self.drain(0)
            raise StartError(failures[0])

    async def lame_duck(self, delay_s: float) -> None:
        """Have the workers serve for `delay_s` more, while each response is the last on its connection.

        A worker that dies meanwhile is still replaced, since connections go on coming.
        """
        self._leaving.set()
        if not delay_s:
            return
        telling = [asyncio.create_task(_lame_duck(worker), name="lame duck") for worker in self._serving()]
        try:
            await asyncio.sleep(delay_s)
        finally:
            for task in telling:
                task.cancel()
            await asyncio.gather(*telling, return_exceptions=True)

    async def drain(self, timeout_s: float) -> None:
        """Stop accepting and let the workers finish for at most `timeout_s`, then kill what is left.

        May be called again with a shorter time, while it runs or after it was cancelled.
        """
        self._leaving.set()
        self._draining.set()
        unbind(self._sockets)
        # A little earlier than ours: workers that reach their deadline close their connections in order.
        worker_s = max(timeout_s * 0.9, timeout_s - 1)
        telling = [asyncio.create_task(_drain(worker, worker_s), name="drain") for worker in self._workers()]
        try:
            if self._running:
                await asyncio.wait(self._running, timeout=timeout_s)
                for worker in self._workers():
                    event(logging.WARNING, "worker_killed", worker.pid, "not done at the deadline")
                    worker.kill()
                await asyncio.wait(self._running, timeout=_KILLED_S)
        finally:
            for task in telling:
                task.cancel()
            await asyncio.gather(*telling, return_exceptions=True)

    async def reload(self, source: ConfigSource) -> None:
        """Have every worker serve `source`, and those to come. Raises `ReloadRefusedError`: none serves it.

        One worker is asked first. Another that does not follow it is replaced: no two policies side by side.
        """
        async with self._reloading:
            first = next(iter(self._serving()), None)
            if first is not None:
                try:
                    await first.reload(source)
                except FailedError as error:
                    raise ReloadRefusedError(str(error)) from None
                except ControlError as error:
                    first.kill()  # it may serve either; the next one serves the old
                    raise ReloadRefusedError(f"the worker that was asked first did not survive it: {error}") from None
            self._source = source
            await asyncio.gather(*(_reload(worker, source) for worker in self._workers() if worker is not first))

    async def snapshot(self) -> dict[str, Any]:
        """What all workers counted, those that are gone included, so that no count ever goes down."""
        await asyncio.gather(*(worker.refresh_snapshot() for worker in self._serving()), return_exceptions=True)
        departed = [keeper.departed for keeper in self._keepers]
        return self._counting.merge([*departed, self._own_snapshot(), *(one.snapshot for one in self._workers())])

    async def purge(self, selector: Mapping[str, str]) -> int:
        """Returns when no worker holds what `selector` names. Raises `InstanceError` when that is not certain."""
        if not self._serving():
            raise InstanceError("no worker is running")
        # One order under one id: a worker that hears of it from the fleet as well forgets once.
        order = {**selector, "id": secrets.token_hex(_PURGE_ID_BYTES)}
        purges = (_purge(worker, order) for worker in self._workers())
        evicted = 0
        for result in await asyncio.gather(*purges, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
            evicted += result
        return evicted

    async def explain(self, question: Mapping[str, str]) -> dict[str, Any]:
        serving = self._serving()
        if not serving:
            raise InstanceError("no worker is running")
        try:
            return await serving[0].explain(question)
        except RefusedError as error:
            raise ValueError(str(error)) from None
        except ControlError as error:
            raise InstanceError(f"worker {serving[0].pid}: {error}") from None

    def readiness(self) -> Readiness:
        """Ready when every worker has been, and one is: a worker that is replaced does not take the rest away."""
        told = [worker.readiness for worker in self._serving()]
        able = [one for one in told if one.ready]
        self._all_were_ready = self._all_were_ready or len(able) == len(self._sockets)
        checks: dict[str, Any] = {"workers": f"{len(told)}/{len(self._sockets)}"}
        for one in sorted(told, key=lambda one: not one.ready):  # where they differ, what is wrong is shown
            checks |= one.checks
        if breakers := worst_breakers(told):
            checks["breakers"] = breakers
        if able and self._all_were_ready and not self._leaving.is_set():
            return Readiness(ready=True, checks=checks)
        reasons = ["draining"] if self._leaving.is_set() else []
        reasons += [reason for one in told for reason in one.reasons]
        return Readiness(ready=False, reasons=tuple(dict.fromkeys(reasons or ["starting"])), checks=checks)

    def routes(self) -> Sequence[Mapping[str, Any]]:
        return self._routes()

    async def _spread(self, asker: WorkerProcess, eviction: Mapping[str, Any]) -> None:
        """Have all workers but `asker` forget. Raises `ControlError` when that is not certain."""
        others = (_forget(worker, eviction) for worker in self._workers() if worker is not asker)
        for result in await asyncio.gather(*others, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    def _workers(self) -> list[WorkerProcess]:
        return [keeper.worker for keeper in self._keepers if keeper.worker is not None]

    def _serving(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers() if worker.serving]


async def _lame_duck(worker: WorkerProcess) -> None:
    with suppress(ControlError):  # one that does not hear it is drained like the others, or killed
        await worker.lame_duck()


async def _drain(worker: WorkerProcess, timeout_s: float) -> None:
    try:
        await worker.drain(timeout_s)
    except ControlError:
        worker.terminate()


async def _reload(worker: WorkerProcess, source: ConfigSource) -> None:
    try:
        await worker.reload(source)
    except FailedError as error:
        event(logging.ERROR, "worker_differs", worker.pid, f"did not take the configuration: {error}")
        worker.terminate()
    except ControlError:
        worker.kill()


async def _forget(worker: WorkerProcess, eviction: Mapping[str, Any]) -> None:
    try:
        await worker.forget(eviction)
    except ChannelClosedError:
        worker.kill()  # what it remembered goes with it
        await worker.gone()


async def _purge(worker: WorkerProcess, selector: Mapping[str, str]) -> int:
    try:
        return await worker.purge(selector)
    except ChannelClosedError:
        worker.kill()  # what it remembered goes with it
        await worker.gone()
        return 0
    except ControlError as error:
        raise InstanceError(f"worker {worker.pid}: {error}") from None
