"""Callers of a fleet, each at its own rate, and what they were answered."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from support.fleet import Fleet, ask
from support.wire import Client

CONNECTIONS = 16


async def load(served: Fleet, rates: dict[str, float], for_s: float) -> tuple[Counter[tuple[str, int]], float]:
    """Each caller at its rate, spread over all gateways; the statuses, and how long it took."""
    began_s = time.monotonic()
    statuses: Counter[tuple[str, int]] = Counter()
    await asyncio.gather(*(_caller(served, who, rate, for_s, statuses) for who, rate in rates.items()))
    return statuses, time.monotonic() - began_s


async def _caller(served: Fleet, who: str, rate: float, for_s: float, statuses: Counter[tuple[str, int]]) -> None:
    idle: asyncio.Queue[Client] = asyncio.Queue()
    for client in await served.connect(CONNECTIONS):
        idle.put_nowait(client)
    began_s = time.monotonic()

    async def one() -> None:
        client = await idle.get()
        statuses[who, await ask(client, who)] += 1
        idle.put_nowait(client)

    async with asyncio.TaskGroup() as group:
        number = 0
        while (now_s := time.monotonic() - began_s) < for_s:
            if number < now_s * rate:
                group.create_task(one())
                number += 1
            else:
                await asyncio.sleep(0.002)
