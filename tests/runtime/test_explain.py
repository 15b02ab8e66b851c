"""`POST /explain` of a gateway that runs: its words are the decision that a request would get."""

import aiohttp
import pytest
from support.running_gateway import ADMIN_TOKEN


@pytest.fixture
async def explain(serve, backend):
    routes = [
        {"name": "orders", "match": {"path": "/t/{t}/**"}, "backend": backend.url, "auth": {"scopes": ["orders:read"]}},
        {"name": "admin", "match": {"path": "/admin/**"}, "backend": backend.url, "auth": {"roles": ["owner"]}},
    ]
    gateway = await serve(routes)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as session:

        async def ask(**question):
            async with session.post(gateway.admin_url + "/explain", json=question) as response:
                return response.status, await response.json()

        yield ask


@pytest.mark.parametrize(
    ("url", "token", "outcome"),
    [
        ("/t/acme/x?y", "good", ("orders", "allow", None, None)),
        ("http://any.example:81/t/acme/x", "good", ("orders", "allow", None, None)),
        ("/t/acme/x", None, ("orders", "refuse", 401, "token_missing")),
        ("/t/acme/x", "junk", ("orders", "refuse", 401, "invalid_token")),
        ("/admin/x", "good", ("admin", "refuse", 403, "forbidden")),
        ("/nowhere", "good", (None, "refuse", 404, "no_route")),
        ("/t/../admin", "good", (None, "refuse", 400, "invalid_target")),
    ],
)
async def test_it_tells_the_decision_and_sends_nothing(explain, backend, url, token, outcome):
    question = {"method": "GET", "url": url, **({"token": token} if token else {})}
    status, told = await explain(**question)
    assert status == 200
    assert (told["route"], told["decision"], told["status"], told["code"]) == outcome
    assert told["steps"]
    assert backend.requests == []
    assert token is None or token not in str(told)


async def test_it_asks_the_provider_once_and_then_says_where_it_knew_from(explain, provider):
    for tier in ("provider", "local"):
        _, told = await explain(method="GET", url="/t/acme/x", token="good")
        assert any(f"from {tier}" in step for step in told["steps"])
    assert len(provider.introspections) == 1


async def test_a_route_without_a_backend_is_explained_as_the_decisions_listener_decides(serve):
    route = {"name": "beside", "match": {"path": "/beside/**"}}
    gateway = await serve([route], top={"decisions": {"listen": "127.0.0.1:0"}})
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as session:
        question = {"method": "GET", "url": "/beside/x", "token": "good"}
        async with session.post(gateway.admin_url + "/explain", json=question) as response:
            told = await response.json()
        async with session.get(gateway.admin_url + "/routes") as response:
            assert (await response.json())[0]["backend"] == []
    assert (told["route"], told["decision"]) == ("beside", "allow")
    assert "decisions.listen" in told["steps"][-1]
