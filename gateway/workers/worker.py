"""A worker's side of the supervision: what the supervisor tells it over the control channel, and when it leaves.

A worker leaves when the supervisor says so, on SIGTERM, and when the supervisor is gone (the channel ends). A worker
that nobody reloads, purges or counts must not go on serving.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from gateway.authn.seen_proofs import Use
from gateway.workers.control import Channel, ChannelClosedError, FailedError
from gateway.workers.instance import Readiness

_logger = logging.getLogger(__name__)

# The sender of an event waits for this. The supervisor notices a worker that is stuck for longer.
_BROADCAST_S = 5.0
# How many claims may be under way: less than the channel takes of questions.
_CLAIMS_MAX = 128


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Holds a configuration as it was read and accepted; the file on the disk may have changed since."""

    text: str
    name: str  # the file, for messages
    directory: str  # relative paths in it start here


class WorkerHandler(Protocol):
    """Does what the supervisor asks of a worker.

    `configure`, `reload` and `purge` are called one at a time, in the order in which they were asked for.
    """

    async def configure(self, source: ConfigSource) -> None:
        """Build everything and begin to accept; called once, first. Raises `ValueError` where it refuses."""

    async def reload(self, source: ConfigSource) -> None:
        """Serve the next request under `source`. Raises `ValueError` with the reason where the old one stays."""

    async def purge(self, selector: Mapping[str, str]) -> int: ...

    async def explain(self, question: Mapping[str, str]) -> dict[str, Any]: ...

    def forget(self, invalidation: Mapping[str, Any]) -> None:
        """Apply an invalidation that another worker has received, or what it found out about backends."""

    def lame_duck(self) -> None:
        """Go on serving, and mark each response as the last on its connection. `drain` comes next."""

    async def drain(self, timeout_s: float | None) -> None:
        """Accept what waits in the socket, then no more. Return when every request has ended, or at the deadline.

        None means the configured `shutdown_timeout`.
        """

    def snapshot(self) -> dict[str, Any]: ...

    def ready(self) -> Readiness: ...

    def refusals(self) -> list[dict[str, Any]]:
        """The last ones, the newest first."""


class Siblings:
    """Reaches the other workers of the instance, through the supervisor."""

    def __init__(self) -> None:
        self.channel: Channel | None = None
        self._claims = asyncio.Semaphore(_CLAIMS_MAX)

    async def broadcast(self, invalidation: Mapping[str, Any]) -> None:
        """Return when the other workers have applied it. Raises `ControlError`."""
        if self.channel is not None:
            await self.channel.ask("broadcast", dict(invalidation), timeout_s=_BROADCAST_S)

    async def leads(self) -> bool:
        """Whether this worker is the one that does what an instance does once. Raises `ControlError`."""
        return self.channel is None or bool(await self.channel.ask("leads", None, timeout_s=_BROADCAST_S))

    async def claim(self, use: Use) -> str:
        """Use a proof: the name of the `UseOutcome` of the instance. Raises `ControlError`."""
        if self.channel is None:
            raise ChannelClosedError("the supervisor is not there")
        async with self._claims:
            return str(await self.channel.ask("claim", list(use), timeout_s=_BROADCAST_S))


async def serve_worker(control: socket.socket, handler: WorkerHandler, siblings: Siblings | None = None) -> None:
    """Do what the supervisor asks over `control` until it is time to leave. Return when drained."""
    side = _WorkerSide(handler)
    channel = await Channel.over(control, side.answer)
    if siblings is not None:
        siblings.channel = channel
    reading = asyncio.create_task(channel.run(), name="control channel")
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, side.leaving.set)
    for ignored in (signal.SIGINT, signal.SIGHUP):  # for the supervisor, though a terminal sends them to all
        loop.add_signal_handler(ignored, lambda: None)
    leaving = asyncio.create_task(side.leaving.wait(), name="leaving")
    try:
        await asyncio.wait((reading, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not side.drained:
            _logger.info("leaving without being told", extra={"event": "worker_leaving"})
            await side.drain(None)
            channel.tell("goodbye", handler.snapshot())
    finally:
        leaving.cancel()
        channel.close()
        with contextlib.suppress(asyncio.CancelledError):
            await leaving
        await reading


class _WorkerSide:
    def __init__(self, handler: WorkerHandler) -> None:
        self.leaving = asyncio.Event()
        self.drained = False
        self._handler = handler
        self._configured = False
        self._changing = asyncio.Lock()  # first come, first served: a purge does not overtake a configuration

    async def answer(self, name: str, body: Any) -> Any:
        match name:
            case "configure":
                async with self._changing:
                    await self._handler.configure(ConfigSource(**body))
                    self._configured = True
            case "reload":
                async with self._changing:
                    await self._handler.reload(ConfigSource(**body))
            case "purge":
                async with self._changing:
                    return await self._handler.purge(body)
            case "forget":
                # Without the lock: a reload either keeps what is cached or begins with nothing, so this need not wait.
                self._handler.forget(body)
            case "explain":
                return await self._handler.explain(body)
            case "snapshot" | "refusals" | "ready":
                return self._told(name)
            case "lame_duck":
                self._handler.lame_duck()
            case "drain":
                await self.drain(body)
                return self._handler.snapshot()
            case _:
                raise FailedError(f"a worker does not know {name!r}")
        return None

    def _told(self, name: str) -> Any:
        match name:
            case "snapshot":
                return self._handler.snapshot()
            case "refusals":
                return self._handler.refusals()
            case _:
                return self._handler.ready().as_json()

    async def drain(self, timeout_s: float | None) -> None:
        try:
            if self._configured:
                await self._handler.drain(timeout_s)
        finally:
            self.drained = True
            self.leaving.set()


def as_body(source: ConfigSource) -> dict[str, str]:
    """The source in the form in which it goes over the channel."""
    return asdict(source)
