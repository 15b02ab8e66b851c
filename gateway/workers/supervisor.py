"""The process that holds the listening sockets and keeps one worker alive on each. It carries no traffic itself.

How this works:

- Each socket has a `WorkerMonitor`, which runs a worker on it and replaces a worker that dies. Connections that wait
  on the socket are then served, under the configuration that was accepted, not the one on the disk.
- `reload` asks one worker first. If that worker refuses, nothing changes. Every other worker then has to follow, or is
  replaced.
- `purge` goes to all workers under one id. A worker that is out of reach is killed, and what it cached goes with it.
- A worker that receives an event has the others told of it (`_broadcast`).
- A worker without Redis asks here whether a proof of possession was used before (`_claim`).
- `lame_duck`, then `drain`, end it all; a worker that is not done at the deadline is killed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from gateway.authn.seen_proofs import SeenProofs, Use
from gateway.workers.control import ChannelClosedError, ControlError, FailedError, RefusedError
from gateway.workers.instance import InstanceError, Readiness, worst_breakers
from gateway.workers.sockets import unbind
from gateway.workers.worker import ConfigSource
from gateway.workers.worker_monitor import Counting, WorkerMonitor, event
from gateway.workers.worker_process import WorkerProcess

# A killed process ends at once, unless the kernel itself is stuck.
_KILLED_S = 5.0
_PURGE_ID_BYTES = 16
_REFUSALS_MAX = 100


class StartError(Exception):
    """No worker could be started; the text is the reason."""


class ReloadRefusedError(Exception):
    """The first worker did not take the new configuration, so the old one stays; the text is the reason."""


class Supervisor:
    """Runs an instance of several processes. `start` comes first, `drain` last.

    It owns `sockets`, one for each worker, and as many in `decisions`, if any. `command` starts a worker, and the
    descriptors that it gets are put after it (`WorkerProcess.spawn`).
    `own_snapshot` gives what this process counts itself; `routes` is for the admin listener. `on_restart` is called
    when a worker takes the place of one that died.
    """

    def __init__(
        self,
        command: Sequence[str],
        sockets: Sequence[socket.socket],
        source: ConfigSource,
        *,
        counting: Counting,
        decisions: Sequence[socket.socket] = (),
        own_snapshot: Callable[[], Mapping[str, Any]] = dict,
        on_restart: Callable[[], object] = lambda: None,
        routes: Callable[[], Sequence[Mapping[str, Any]]] = list,
    ) -> None:
        self._command = tuple(command)
        self._sockets = tuple(sockets)
        self._decisions = tuple(decisions)
        self._source = source
        self._counting = counting
        self._own_snapshot = own_snapshot
        self._on_restart = on_restart
        self._routes = routes
        self._monitors: list[WorkerMonitor] = []
        self._monitoring: list[asyncio.Task[None]] = []
        self._reloading = asyncio.Lock()
        self._leaving = asyncio.Event()  # no longer ready, and about to drain
        self._draining = asyncio.Event()
        self._all_were_ready = False
        self._leader: WorkerProcess | None = None
        self._seen_proofs = SeenProofs()

    async def start(self) -> None:
        """Start all workers. Returns when each serves or has failed once. Raises `StartError` when none serves."""
        for place, listener in enumerate(self._sockets):
            monitor = WorkerMonitor(
                self._command,
                (listener, *self._decisions[place : place + 1]),
                lambda: self._source,
                counting=self._counting,
                leaving=self._leaving,
                draining=self._draining,
                broadcast=self._broadcast,
                on_restart=self._on_restart,
                leads=self._leads,
                claim=self._claim,
            )
            self._monitors.append(monitor)
            self._monitoring.append(asyncio.create_task(monitor.run(), name="worker monitor"))
        outcomes = [await monitor.first for monitor in self._monitors]
        failures = [outcome for outcome in outcomes if outcome is not None]
        if len(failures) == len(outcomes):
            await self.drain(0)
            raise StartError(failures[0])

    async def lame_duck(self, delay_s: float) -> None:
        """Have the workers serve for `delay_s` more, with each response the last on its connection.

        A worker that dies meanwhile is still replaced, since new connections keep coming.
        """
        self._leaving.set()
        if not delay_s:
            return
        tasks = [asyncio.create_task(_lame_duck(worker), name="lame duck") for worker in self._serving()]
        try:
            await asyncio.sleep(delay_s)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def drain(self, timeout_s: float) -> None:
        """Stop accepting, let the workers finish for at most `timeout_s`, then kill those that are left.

        May be called again with a shorter time, while it runs or after it was cancelled.
        """
        self._leaving.set()
        self._draining.set()
        unbind((*self._sockets, *self._decisions))
        # A little earlier than our deadline: workers that reach theirs close their connections in order.
        worker_s = max(timeout_s * 0.9, timeout_s - 1)
        tasks = [asyncio.create_task(_drain(worker, worker_s), name="drain") for worker in self._workers()]
        try:
            if self._monitoring:
                await asyncio.wait(self._monitoring, timeout=timeout_s)
                for worker in self._workers():
                    event(logging.WARNING, "worker_killed", worker.pid, "not done at the deadline")
                    worker.kill()
                await asyncio.wait(self._monitoring, timeout=_KILLED_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def reload(self, source: ConfigSource) -> None:
        """Have every worker serve `source`, now and later. Raises `ReloadRefusedError` where none serves it.

        One worker is asked first. Any other that does not follow is replaced: there are never two policies at once.
        """
        async with self._reloading:
            first = next(iter(self._serving()), None)
            if first is not None:
                try:
                    await first.reload(source)
                except FailedError as error:
                    raise ReloadRefusedError(str(error)) from None
                except ControlError as error:
                    first.kill()  # it may serve either one; the next worker serves the old one
                    raise ReloadRefusedError(f"the worker that was asked first did not survive it: {error}") from None
            self._source = source
            await asyncio.gather(*(_reload(worker, source) for worker in self._workers() if worker is not first))

    async def snapshot(self) -> dict[str, Any]:
        """Add up what all workers counted, including those that are gone: no count ever goes down."""
        await asyncio.gather(*(worker.refresh_snapshot() for worker in self._serving()), return_exceptions=True)
        departed = [monitor.departed for monitor in self._monitors]
        return self._counting.merge([*departed, self._own_snapshot(), *(worker.snapshot for worker in self._workers())])

    async def purge(self, selector: Mapping[str, str]) -> int:
        """Return when no worker holds what `selector` names. Raises `InstanceError` when that is not certain."""
        if not self._serving():
            raise InstanceError("no worker is running")
        # One purge under one id: a worker that also hears of it from the fleet applies it once.
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

    async def refusals(self) -> list[dict[str, Any]]:
        asked = (worker.refusals() for worker in self._serving())
        told = await asyncio.gather(*asked, return_exceptions=True)
        found = [one for each in told if not isinstance(each, BaseException) for one in each]
        return sorted(found, key=lambda one: -float(one["time"]))[:_REFUSALS_MAX]

    def workers(self) -> Sequence[Mapping[str, Any]]:
        return [{"pid": one.pid, "serving": one.serving, "snapshot": one.snapshot} for one in self._workers()]

    def readiness(self) -> Readiness:
        """Ready when one worker is and each has been: replacing one worker does not make the rest unready."""
        told = [worker.readiness for worker in self._serving()]
        able = [worker for worker in told if worker.ready]
        self._all_were_ready = self._all_were_ready or len(able) == len(self._sockets)
        checks: dict[str, Any] = {"workers": f"{len(told)}/{len(self._sockets)}"}
        for worker in sorted(told, key=lambda worker: not worker.ready):  # where they differ, show what is wrong
            checks |= worker.checks
        if breakers := worst_breakers(told):
            checks["breakers"] = breakers
        if able and self._all_were_ready and not self._leaving.is_set():
            return Readiness(ready=True, checks=checks)
        reasons = ["draining"] if self._leaving.is_set() else []
        reasons += [reason for worker in told for reason in worker.reasons]
        return Readiness(ready=False, reasons=tuple(dict.fromkeys(reasons or ["starting"])), checks=checks)

    def routes(self) -> Sequence[Mapping[str, Any]]:
        return self._routes()

    async def _broadcast(self, asker: WorkerProcess, invalidation: Mapping[str, Any]) -> None:
        """Have all workers but `asker` apply it. Raises `ControlError` when that is not certain."""
        others = (_forget(worker, invalidation) for worker in self._workers() if worker is not asker)
        for result in await asyncio.gather(*others, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    def _claim(self, use: Use) -> str:
        """The first use of a proof in this instance, whichever of its workers it came to."""
        return self._seen_proofs.claim(use, time.monotonic()).name

    def _leads(self, worker: WorkerProcess) -> bool:
        """Whether it is the one that does what an instance does once. It stays that for as long as it serves."""
        if self._leader not in (serving := self._serving()):
            self._leader = next(iter(serving), None)
        return self._leader is worker

    def _workers(self) -> list[WorkerProcess]:
        return [monitor.worker for monitor in self._monitors if monitor.worker is not None]

    def _serving(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers() if worker.serving]


async def _lame_duck(worker: WorkerProcess) -> None:
    with suppress(ControlError):  # worker that does not hear it is drained like the others, or killed
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


async def _forget(worker: WorkerProcess, invalidation: Mapping[str, Any]) -> None:
    try:
        await worker.forget(invalidation)
    except ChannelClosedError:
        worker.kill()  # what it cached goes with it
        await worker.gone()


async def _purge(worker: WorkerProcess, selector: Mapping[str, str]) -> int:
    try:
        return await worker.purge(selector)
    except ChannelClosedError:
        worker.kill()  # what it cached goes with it
        await worker.gone()
        return 0
    except ControlError as error:
        raise InstanceError(f"worker {worker.pid}: {error}") from None
