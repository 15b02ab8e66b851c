"""The cache of a whole fleet as operators run it: `gateway serve` with workers, a Redis, a provider that counts."""

import asyncio
import os
import signal
import time
from pathlib import Path

from support.fleet import Fleet, ask, fleet, keep_asking
from support.processes import ServedGateway

CALL_S = 1.0
REDIS_S = 0.25


async def test_five_hundred_at_once_with_one_fresh_token_make_one_call(tmp_path: Path) -> None:
    async with fleet(tmp_path, provider_keys={"timeout": "10s"}) as served:
        served.provider.delay_s = 0.5
        clients = await served.connect(500)
        for token in ("fresh-1", "fresh-2"):
            assert await asyncio.gather(*(ask(client, token) for client in clients)) == [200] * 500
            assert served.calls[token] == 1
        await junk_is_asked_about_once_too(served)


async def junk_is_asked_about_once_too(served: Fleet) -> None:
    """On the same fleet, because it takes seconds to start one."""
    served.provider.answers["junk"] = {"active": False}
    clients = await served.connect(40)
    assert await asyncio.gather(*(ask(client, "junk") for client in clients)) == [401] * 40
    assert served.calls["junk"] == 1


async def test_each_token_is_asked_about_once_in_each_window(tmp_path: Path) -> None:
    tokens = [f"user-{number}" for number in range(40)]
    async with fleet(tmp_path, gateways=2, cache={"ttl": "2s"}) as served:
        clients = await served.connect(32)
        await keep_asking(clients, tokens, every_s=0.2, for_s=10.0)
        assert set(served.calls) == set(tokens)
        # Five windows; more than 200 would be a call too many, and a busy machine may lose a few.
        assert 200 * 0.9 <= served.calls.total() <= 200 * 1.05
        assert 0 < await served.call_s() < 2


async def test_a_hot_token_never_waits_for_the_provider_after_the_first_time(tmp_path: Path) -> None:
    async with fleet(tmp_path, gateways=2, cache={"ttl": "1s", "refresh_ahead": 0.5}, access_log=True) as served:
        served.provider.delay_s = 0.1
        clients = await served.connect(8)
        assert await ask(clients[0], "hot") == 200
        await keep_asking(clients, ["hot"], every_s=0.02, for_s=10.0)
        # Half a window after the first one, and so on: twice as many calls as without, by one process each.
        assert 14 <= served.calls["hot"] <= 20
        for gateway in served.gateways:
            await gateway.stop()
        decided = served.decided_by()
        assert decided["provider"] == 1
        assert decided["local"] > 400


async def test_a_worker_killed_in_the_middle_of_a_call_costs_the_others_its_lease_and_one_call(tmp_path: Path) -> None:
    async with fleet(
        tmp_path,
        gateways=2,
        provider_keys={"timeout": f"{CALL_S:g}s"},
        cache={"timeout": f"{int(REDIS_S * 1000)}ms"},
    ) as served:
        served.provider.delay_s = 0.8 * CALL_S
        holding, others = served.gateways
        [client] = await served.connect(1, [holding])
        asking = asyncio.create_task(ask(client, "token"))
        await served.provider.wait_for_calls(1)
        waiting = [asyncio.create_task(ask(each, "token")) for each in await served.connect(20, [others])]
        await asyncio.sleep(0.1)
        began = time.monotonic()
        kill_workers(holding)
        assert await asyncio.gather(*waiting) == [200] * 20
        lease_s = CALL_S + 2 * REDIS_S + 0.5
        assert time.monotonic() - began < lease_s + CALL_S + 1.0
        assert served.calls["token"] == 2
        await asyncio.gather(asking, return_exceptions=True)


def kill_workers(gateway: ServedGateway) -> None:
    for pid in gateway.workers():
        os.kill(pid, signal.SIGKILL)
