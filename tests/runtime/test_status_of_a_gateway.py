"""`GET /status` and `GET /refusals` of a gateway that serves: what really happened is there, and it costs little."""

import json
import time

import aiohttp
import pytest
from support.running_gateway import ADMIN_TOKEN, eventually

POLL_S = 2.0  # of the page


async def told(gateway, path, token=None):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(trust_env=False) as session,
        session.get(gateway.admin_url + path, headers=headers) as answer,
    ):
        return answer.status, json.loads(await answer.text())


async def test_what_happened_is_told(serve):
    gateway = await serve()
    assert (await gateway.get("/api/a", token="junk")).status == 401
    assert (await gateway.get("/api/a?secret=1")).status == 401
    await eventually(lambda: len(gateway.lines.requests) == 2)
    _, status = await told(gateway, "/status")
    (route,) = [one for one in status["routes"] if one["requests"]]
    assert (route["name"], route["requests"]) == ("api", {"401": 2})
    assert route["refusals"] == {"invalid_token": 1, "token_missing": 1}
    assert status["providers"][0]["introspections"]["inactive"] == 1
    assert status["workers"]["each"][0]["memory_bytes"] > 0
    assert status["configuration"]["loaded_at"] <= time.time()
    code, refusals = await told(gateway, "/refusals", ADMIN_TOKEN)
    assert code == 200
    newest, oldest = refusals["refusals"]
    assert (newest["code"], newest["path"], newest["method"]) == ("token_missing", "/api/a", "GET")
    assert oldest["reason"]
    assert not [secret for secret in ("junk", "secret=1", ADMIN_TOKEN) if secret in json.dumps([status, refusals])]


async def test_a_refused_reload_is_told_until_one_is_taken(serve):
    gateway = await serve()
    gateway.expects_errors = True
    good = gateway.text
    assert not await gateway.reload("nonsense: 1")
    _, status = await told(gateway, "/status")
    assert "nonsense" in status["configuration"]["reload_failure"]["reason"]
    assert status["alarms"][0]["what"].startswith("the last reload was refused")
    assert await gateway.reload(good)
    _, status = await told(gateway, "/status")
    assert status["configuration"]["reload_failure"] is None


@pytest.mark.parametrize("count", [50])  # with more of them the page asks more rarely
async def test_a_page_that_is_open_costs_under_one_percent_of_a_core(serve, count):
    routes = [
        {"name": f"r{n}", "match": {"path": f"/r{n}/**"}, "backend": "http://127.0.0.1:1", "auth": "none"}
        for n in range(count)
    ]
    gateway = await serve(routes=routes)
    await told(gateway, "/status")  # describes the routes, once
    rounds, began = 20, time.process_time()
    for _ in range(rounds):
        await told(gateway, "/status")
    # This process asks as well as answers, so it is less than this.
    each_s = (time.process_time() - began) / rounds
    assert each_s < POLL_S * 0.01
