"""A scripted provider that takes its time: so many calls a second at most, and longer for some tokens."""

from __future__ import annotations

import asyncio
from asyncio import StreamWriter
from collections.abc import Callable
from dataclasses import dataclass

from support.scripted_provider import Call, ScriptedProvider


@dataclass(frozen=True)
class Arrival:
    """When a call came: how many were under way, itself included, and how many had been answered before."""

    under_way: int
    answered: int


class PacedProvider(ScriptedProvider):
    """It answers `per_s` calls a second, one after the other, and never fails; each lasts `takes_s(call)` besides."""

    def __init__(self, per_s: float | None = None, takes_s: Callable[[Call], float] = lambda _: 0.0) -> None:
        super().__init__()
        self.pause_s = 0.0 if per_s is None else 1 / per_s
        self.takes_s = takes_s
        self.arrivals: list[Arrival] = []
        self.answered = 0
        self._free_at_s = 0.0

    async def _answer(self, call: Call, writer: StreamWriter) -> bool:
        self.arrivals.append(Arrival(self.in_flight, self.answered))
        now_s = asyncio.get_running_loop().time()
        self._free_at_s = max(self._free_at_s, now_s) + self.pause_s
        await asyncio.sleep(self._free_at_s - now_s + self.takes_s(call))
        self.answered += self.fault is None
        return await super()._answer(call, writer)
