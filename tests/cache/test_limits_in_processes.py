"""Four gateways and one limit: callers above, at and below it; Redis is killed in the middle."""

import asyncio
import time
from collections import Counter

from support.fleet import Fleet, ask, fleet
from support.wire import Client

RATE = 100
CONNECTIONS = 16


async def test_the_rate_is_one_for_all_processes_and_an_outage_fails_nobody(tmp_path) -> None:
    limits = {"per-user": {"rate": f"{RATE}/1s", "by": "sub"}}
    # The access log would be most of the work here.
    async with fleet(tmp_path, workers=1, limits=limits, cache={"timeout": "200ms"}) as served:
        rates = {"above": 2.0 * RATE, "at": 0.98 * RATE, "below": RATE / 2}
        statuses, for_s = await load(served, rates, 5.0)
        most = RATE * for_s + RATE
        assert most * 0.9 <= statuses["above", 200] <= most * 1.1, statuses
        assert statuses["at", 200] >= RATE * for_s * 0.9, statuses
        assert statuses["below", 429] == 0, statuses
        assert {status for _, status in statuses} == {200, 429}
        served.redis.kill()
        statuses, for_s = await load(served, rates, 4.0)
        assert {status for _, status in statuses} <= {200, 429}, statuses
        assert statuses["above", 200] <= 2 * RATE * for_s * 1.1, statuses
        assert statuses["below", 429] == 0, statuses


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
