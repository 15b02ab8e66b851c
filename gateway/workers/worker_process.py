"""One worker as the supervisor sees it: a process, the channel to it, and its last readiness and counts."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from gateway.authn.seen_proofs import Use, UseOutcome
from gateway.workers.control import Channel, ChannelClosedError, ControlError, UnansweredError
from gateway.workers.instance import Readiness
from gateway.workers.worker import ConfigSource, as_body

_logger = logging.getLogger(__name__)

_STARTING = Readiness(ready=False, reasons=("starting",))
# From the start of the interpreter to accepting; a machine that boots everything at once is slow.
_CONFIGURE_S = 60.0
_RELOAD_S = 30.0
_PURGE_S = 10.0
_FORGET_S = 4.0  # less than the wait of the worker that asks for it
_EXPLAIN_S = 10.0
_SNAPSHOT_S = 2.0
_READY_S = 5.0
_LAME_DUCK_S = 5.0
# From the end of the channel, which a worker lets go last, to the end of its process.
_EXIT_S = 5.0
_DESCRIPTOR_OPTIONS = ("--control-fd", "--listen-fd", "--decisions-fd")
# How old `readiness` may be, and after how many rounds the counts are fetched: a killed worker takes newer ones along.
_ROUND_S = 1.0
_SNAPSHOT_EVERY_ROUNDS = 3
# A worker that answers nothing during this time is stuck for its clients too.
_UNRESPONSIVE_S = 30.0


Broadcast = Callable[["WorkerProcess", Mapping[str, Any]], Awaitable[None]]


class WorkerProcess:
    """Starts, asks and ends one worker process.

    `serving` is true once the worker accepts. `snapshot` and `readiness` are the last ones that it sent.
    """

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel, broadcast: Broadcast) -> None:
        self.pid = process.pid
        self.serving = False
        self.leads: Callable[[], bool] = lambda: False  # whether it does what an instance does once
        self.claim: Callable[[Use], str] = lambda _: UseOutcome.FULL.name
        self.snapshot: dict[str, Any] = {}
        self.readiness = _STARTING
        self._process = process
        self._channel = channel
        self._broadcast = broadcast
        channel.answer = self._handle
        self._reading = asyncio.create_task(channel.run(), name=f"worker {self.pid}")

    @classmethod
    async def spawn(
        cls, command: Sequence[str], listeners: Sequence[socket.socket], broadcast: Broadcast
    ) -> WorkerProcess:
        """Start `command` with `--control-fd N --listen-fd M` after it. Raises `OSError`.

        A second socket of `listeners` is that for decisions: `--decisions-fd L`.

        `broadcast` is called with the invalidations that the worker wants all others to apply.
        """
        ours, theirs = socket.socketpair()
        channel = await Channel.over(ours)
        descriptors = (theirs.fileno(), *(one.fileno() for one in listeners))
        options = zip(_DESCRIPTOR_OPTIONS, map(str, descriptors), strict=False)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                *itertools.chain.from_iterable(options),
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                # Out of the reach of a terminal's Ctrl-C: the supervisor handles that.
                start_new_session=True,
            )
        except BaseException:
            channel.close()  # if the process did start, it reads the end of the channel and leaves
            raise
        finally:
            theirs.close()
        return cls(process, channel, broadcast)

    async def configure(self, source: ConfigSource) -> None:
        """Hand over the configuration. Returns when the worker accepts. Raises `ControlError`.

        The channel sends it before the first wait, so that the next reload or purge comes after it.
        """
        await self._channel.ask("configure", as_body(source), timeout_s=_CONFIGURE_S)
        self.serving = True

    async def reload(self, source: ConfigSource) -> None:
        await self._channel.ask("reload", as_body(source), timeout_s=_RELOAD_S)

    async def purge(self, selector: Mapping[str, str]) -> int:
        return int(await self._channel.ask("purge", dict(selector), timeout_s=_PURGE_S))

    async def forget(self, invalidation: Mapping[str, Any]) -> None:
        await self._channel.ask("forget", dict(invalidation), timeout_s=_FORGET_S)

    async def explain(self, question: Mapping[str, str]) -> dict[str, Any]:
        return dict(await self._channel.ask("explain", dict(question), timeout_s=_EXPLAIN_S))

    async def refusals(self) -> list[dict[str, Any]]:
        return list(await self._channel.ask("refusals", None, timeout_s=_SNAPSHOT_S))

    async def refresh_snapshot(self) -> None:
        self.snapshot = await self._channel.ask("snapshot", None, timeout_s=_SNAPSHOT_S)

    async def refresh_readiness(self) -> None:
        self.readiness = Readiness.from_json(await self._channel.ask("ready", None, timeout_s=_READY_S))

    async def watch(self) -> None:
        """Keep `readiness` and `snapshot` fresh. Kill the process when it has answered nothing for too long."""
        heard_at = time.monotonic()
        for round_number in itertools.count():
            try:
                await self.refresh_readiness()
                if round_number % _SNAPSHOT_EVERY_ROUNDS == 0:
                    await self.refresh_snapshot()
                heard_at = time.monotonic()
            except UnansweredError:
                if time.monotonic() - heard_at > _UNRESPONSIVE_S:
                    fields = {"event": "worker_stuck", "fields": {"pid": self.pid}}
                    _logger.warning("worker %d does not answer", self.pid, extra=fields)
                    self.kill()
                    return
            except ChannelClosedError:
                return
            except ControlError as error:
                _logger.warning("worker %d: %s", self.pid, error, extra={"event": "worker_unwell"})
            await asyncio.sleep(_ROUND_S)

    async def lame_duck(self) -> None:
        """Have the worker mark each response as the last on its connection. Raises `ControlError`."""
        await self._channel.ask("lame_duck", None, timeout_s=_LAME_DUCK_S)

    async def drain(self, timeout_s: float) -> None:
        """Have the worker finish its requests, send its last snapshot, and leave. Raises `ControlError`."""
        # The supervisor has the deadline for the whole drain and kills then; this one only ends the waiting.
        self.snapshot = await self._channel.ask("drain", timeout_s, timeout_s=timeout_s + _EXIT_S)

    async def gone(self) -> int:
        """Wait until the process has ended and all that it sent is read. Returns its exit status."""
        exited = asyncio.create_task(self._process.wait(), name=f"exit of worker {self.pid}")
        try:
            await asyncio.wait({exited, self._reading}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({exited}, timeout=_EXIT_S)
            if not exited.done():
                self.kill()  # it has let go of its channel and does not end
            status = await exited
            await asyncio.wait({self._reading}, timeout=_EXIT_S)
        finally:
            exited.cancel()
            self.serving = False
        return status

    def terminate(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """End the process at once, by its id. Does nothing when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def abandon(self) -> None:
        """Leave nothing behind: no process, no channel, no task."""
        self.kill()
        self._channel.close()
        await self._reading
        await self._process.wait()

    async def _handle(self, name: str, body: Any) -> Any:
        if name == "leads":
            return self.leads()
        if name == "claim":
            return self.claim(Use(*body))
        if name == "goodbye":
            self.snapshot = body
        elif name == "broadcast":
            await self._broadcast(self, body)
        return None
