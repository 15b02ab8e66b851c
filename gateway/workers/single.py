"""`workers: 1`: the one worker serves in the process that answers the admin listener."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from gateway.workers.instance import InstanceError, Readiness
from gateway.workers.supervisor import ReloadRefusedError, StartError
from gateway.workers.worker import ConfigSource, WorkerHandler

_Result = TypeVar("_Result")
_DEADLINE_S = 10.0


class SingleProcess:
    """Runs an `Instance` of one worker, and calls it directly."""

    def __init__(
        self, worker: WorkerHandler, source: ConfigSource, routes: Callable[[], Sequence[Mapping[str, Any]]]
    ) -> None:
        self._worker = worker
        self._source = source
        self._routes = routes
        self._snapshot: dict[str, Any] = {}  # the last one

    async def start(self) -> None:
        try:
            await self._worker.configure(self._source)
        except ValueError as error:
            raise StartError(str(error)) from None

    async def reload(self, source: ConfigSource) -> None:
        try:
            await self._worker.reload(source)
        except ValueError as error:
            raise ReloadRefusedError(str(error)) from None

    async def lame_duck(self, delay_s: float) -> None:
        self._worker.lame_duck()
        await asyncio.sleep(delay_s)

    async def drain(self, timeout_s: float) -> None:
        await self._worker.drain(timeout_s)

    async def snapshot(self) -> dict[str, Any]:
        self._snapshot = self._worker.snapshot()
        return self._snapshot

    async def purge(self, selector: Mapping[str, str]) -> int:
        return await _within_deadline(self._worker.purge(selector))

    async def explain(self, question: Mapping[str, str]) -> dict[str, Any]:
        return await _within_deadline(self._worker.explain(question))

    async def refusals(self) -> list[dict[str, Any]]:
        return self._worker.refusals()

    def workers(self) -> Sequence[Mapping[str, Any]]:
        return [{"pid": os.getpid(), "serving": True, "snapshot": self._snapshot}]

    def readiness(self) -> Readiness:
        return self._worker.ready()

    def routes(self) -> Sequence[Mapping[str, Any]]:
        return self._routes()


async def _within_deadline(work: Awaitable[_Result]) -> _Result:
    try:
        async with asyncio.timeout(_DEADLINE_S):
            return await work
    except TimeoutError:
        raise InstanceError(f"no answer within {_DEADLINE_S:g} s") from None
