"""The doctor tries what routes want of token endpoints, once each, without a caller."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from support.configuration import loaded
from support.scripted_provider import Reply, ScriptedProvider

from gateway.runtime.doctor import examine

EXCHANGE = {"exchange": {"audience": "orders"}}
OWN = {"client_credentials": {"scopes": ["stock"]}}


async def graded(provider: ScriptedProvider, *authorizations: dict[str, Any]) -> dict[str, tuple[str, str]]:
    routes = [
        {"name": f"r{n}", "match": {"path": f"/{n}"}, "backend": "http://127.0.0.1:9", "authorization": each}
        for n, each in enumerate(authorizations)
    ]
    settings = {
        "introspection_endpoint": provider.introspection_endpoint,
        "token_endpoint": provider.token_endpoint,
        "client_id": "gw",
        "client_secret": "secret-of-the-client",
    }
    found = await examine(loaded(json.dumps({"providers": {"p": settings}, "routes": routes})), time.time())
    return {
        one.subject: (one.grade, one.words) for one in found if "exchange" in one.subject or "client_" in one.subject
    }


@pytest.mark.parametrize(
    ("answer", "grade", "words"),
    [
        (Reply(400, {"error": "invalid_grant"}), "ok", "our client is not"),
        (Reply(400, {"error": "invalid_request", "error_description": "it is not enabled"}), "FAIL", "not enabled"),
        (Reply(400, {"error": "unauthorized_client"}), "FAIL", "client gw"),
        (Reply(401, {"error": "invalid_client"}), "FAIL", "client gw"),
        (Reply(500, {}), "FAIL", "status 500"),
        ({"access_token": "t", "token_type": "Bearer"}, "FAIL", "any token for good"),
    ],
)
async def test_an_exchange_is_tried_with_a_token_that_nobody_has(answer: Any, grade: str, words: str) -> None:
    async with ScriptedProvider() as provider:
        provider.token_answer = answer
        found = await graded(provider, EXCHANGE, EXCHANGE)
        [(subject, (told, why))] = found.items()
        assert (told, subject) == (grade, "provider p exchange (audience=orders)")
        assert words in why
        tokens = {call.form["subject_token"] for call in provider.calls if call.path == "/token"}
        assert all(token not in why for token in tokens)


async def test_the_gateways_own_token_is_tried() -> None:
    async with ScriptedProvider() as provider:
        provider.token_answer = {"access_token": "t", "token_type": "Bearer"}
        assert await graded(provider, OWN) == {
            "provider p client_credentials (scope=stock)": ("ok", "it gives a token")
        }
