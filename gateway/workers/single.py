"""`workers: 1`: the gateway answers the admin listener from its own process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from gateway.workers.instance import InstanceError, Readiness
from gateway.workers.worker import WorkerHandler

_Answer = TypeVar("_Answer")
_DEADLINE_S = 10.0


class InProcess:
    """An `Instance` of one worker, which is called instead of asked."""

    def __init__(self, worker: WorkerHandler, routes: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        self._worker = worker
        self._routes = routes

    async def snapshot(self) -> dict[str, Any]:
        return self._worker.snapshot()

    async def purge(self, selector: Mapping[str, str]) -> int:
        return await _within_deadline(self._worker.purge(selector))

    async def explain(self, question: Mapping[str, str]) -> dict[str, Any]:
        return await _within_deadline(self._worker.explain(question))

    def readiness(self) -> Readiness:
        return self._worker.ready()

    def routes(self) -> Sequence[Mapping[str, Any]]:
        return self._routes()


async def _within_deadline(answer: Awaitable[_Answer]) -> _Answer:
    try:
        async with asyncio.timeout(_DEADLINE_S):
            return await answer
    except TimeoutError:
        raise InstanceError(f"no answer within {_DEADLINE_S:g} s") from None
