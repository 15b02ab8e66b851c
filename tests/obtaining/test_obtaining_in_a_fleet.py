"""A fleet exchanges a caller's token once, and forgets what it got within a second, wherever the order came in."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
from support.fleet import Fleet, ask, fleet
from support.running_gateway import ADMIN_TOKEN
from support.scripted_provider import Call, Reply

EXCHANGE = {"authorization": {"exchange": {"audience": "orders"}}}
OWN = {"authorization": {"client_credentials": {}}, "auth": "none"}
NEW = "the-token-that-was-exchanged"


def exchanges(served: Fleet) -> int:
    return sum(call.path == "/token" for call in served.provider.calls)


def granted(_: Call) -> dict[str, Any]:
    return {"access_token": NEW, "token_type": "Bearer", "expires_in": 300}


async def test_five_hundred_requests_at_several_instances_make_one_introspection_and_one_exchange(
    tmp_path: Path,
) -> None:
    async with fleet(tmp_path, gateways=4, route_keys=EXCHANGE, provider_keys={"timeout": "20s"}) as served:
        served.provider.token_answer = granted
        clients = await served.connect(500)
        statuses = await asyncio.gather(*(ask(client, "hot", within_s=60.0) for client in clients))
        assert statuses == [200] * 500
        assert served.calls["hot"] == 1
        assert exchanges(served) == 1
        # Nothing in Redis shows either token.
        redis = served.redis.client()
        for name in redis.keys("*"):
            dumped = redis.dump(name) or b""
            assert NEW.encode() not in dumped
            assert b"hot" not in dumped

        # The order reaches everybody within a second: each worker that had the token is asked, by the same connections.
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        served.provider.token_answer = Reply(400, {"error": "invalid_grant"})
        async with aiohttp.ClientSession(headers=headers, trust_env=False) as http:
            url = f"{served.gateways[0].admin_url}/cache"
            async with http.delete(url, json={"token": "hot"}) as response:
                assert response.status == 200
        await asyncio.sleep(1.0)
        statuses = await asyncio.gather(*(ask(client, "hot", within_s=60.0) for client in clients))
        assert statuses == [403] * 500
        # A refusal is one for the fleet, too.
        assert exchanges(served) == 2
        assert served.calls["hot"] == 2


async def test_the_gateways_own_token_is_one_for_the_fleet(tmp_path: Path) -> None:
    async with fleet(tmp_path, gateways=2, route_keys=OWN, provider_keys={"timeout": "20s"}) as served:
        served.provider.token_answer = granted
        clients = await served.connect(40)
        assert set(await asyncio.gather(*(ask(client, "any", within_s=60.0) for client in clients))) == {200}
        assert exchanges(served) == 1
