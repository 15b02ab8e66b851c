"""`explain` says what a backend would get and what a provider would decide, and shows no token."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
from support.backend import Backend
from support.running_gateway import ADMIN_TOKEN, RunningGateway
from support.scripted_provider import Reply, ScriptedProvider
from support.serving import Serve

NEW = "the-token-for-the-backend"


async def explained(gateway: RunningGateway, token: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    question = {"method": "GET", "url": "/api/7", "token": token}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{gateway.admin_url}/explain", json=question) as response,
    ):
        text = await response.text()
    assert NEW not in text
    assert token not in text
    answer: dict[str, Any] = json.loads(text)
    return answer


def routes(backend: Backend) -> list[dict[str, Any]]:
    return [
        {
            "name": "api",
            "match": {"path": "/api/{id}"},
            "backend": backend.url,
            "auth": {"permissions": [{"resource": "order/{id}", "scopes": ["view"]}]},
            "authorization": {"exchange": {"audience": "orders"}},
        }
    ]


async def test_it_says_what_the_backend_would_get(serve: Serve, provider: ScriptedProvider, backend: Backend) -> None:
    provider.answers["good-token"] = provider.answers["good"]
    provider.token_answer = lambda call: (
        {"result": True}
        if "permission" in call.form
        else {"access_token": NEW, "token_type": "Bearer", "expires_in": 300}
    )
    gateway = await serve(routes(backend), provider_keys={"token_endpoint": provider.token_endpoint})
    found = await explained(gateway, "good-token")
    assert found["decision"] == "allow"
    steps = "\n".join(found["steps"])
    assert "permission at p, audience=gw permission=order/7#view response_mode=decision: granted from provider" in steps
    assert "authorization for the backend by exchange at p, audience=orders: granted from provider, good for" in steps
    assert backend.requests == []


async def test_it_says_why_nobody_gives_a_token(serve: Serve, provider: ScriptedProvider, backend: Backend) -> None:
    provider.answers["good-token"] = provider.answers["good"]
    provider.token_answer = lambda call: (
        {"result": True} if "permission" in call.form else Reply(400, {"error": "invalid_target"})
    )
    gateway = await serve(routes(backend), provider_keys={"token_endpoint": provider.token_endpoint})
    found = await explained(gateway, "good-token")
    assert (found["status"], found["code"]) == (403, "exchange_refused")
    assert "invalid_target" in "\n".join(found["steps"])
