"""Permissions: by the facts where they carry any, else by the provider's decision (UMA 2.0)."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
from support.backend import Backend
from support.running_gateway import ADMIN_TOKEN
from support.scripted_provider import Call, Reply, ScriptedProvider
from support.serving import ALICE, Serve

DENIED = Reply(403, {"error": "access_denied", "error_description": "not_authorized"})
UMA = "urn:ietf:params:oauth:grant-type:uma-ticket"


def keys(provider: ScriptedProvider, **more: Any) -> dict[str, Any]:
    return {"token_endpoint": provider.token_endpoint, **more}


def guarded(backend: Backend, scopes: tuple[str, ...] = ("view",), **more: Any) -> list[dict[str, Any]]:
    permission = {"resource": "order/{id}", "scopes": list(scopes)}
    auth = {"permissions": [permission], **more}
    return [{"name": "api", "match": {"path": "/api/{id}"}, "backend": backend.url, "auth": auth}]


def decides(*granted: str) -> Any:
    return lambda call: {"result": True} if call.form["permission"] in granted else DENIED


def asked(provider: ScriptedProvider) -> list[Call]:
    return [call for call in provider.calls if call.path == "/token"]


async def test_the_token_endpoint_decides_and_its_decision_is_remembered(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    provider.token_answer = decides("order/7#view")
    gateway = await serve(guarded(backend), provider_keys=keys(provider))
    for _ in range(3):
        assert (await gateway.get("/api/7", token="good")).status == 200
        no = await gateway.get("/api/8", token="good")
        assert (no.status, no.problem["code"]) == (403, "forbidden")
        assert no.value("WWW-Authenticate") is not None
    first, second = asked(provider)
    assert parse_qs(first.body.decode()) == {
        "grant_type": [UMA],
        "subject_token": ["good"],
        "audience": ["gw"],
        "permission": ["order/7#view"],
        "response_mode": ["decision"],
    }
    assert (first.header("Authorization") or "").startswith("Basic ")
    assert second.form["permission"] == "order/8#view"
    assert [request.target for request in backend.requests] == ["/api/7"] * 3


async def test_every_scope_is_a_question_of_its_own(serve: Serve, provider: ScriptedProvider, backend: Backend) -> None:
    """Keycloak's decision about several scopes is yes as soon as one of them is granted."""
    provider.token_answer = decides("order/7#view")
    gateway = await serve(guarded(backend, ("view", "edit")), provider_keys=keys(provider))
    assert (await gateway.get("/api/7", token="good")).status == 403
    assert [call.form["permission"] for call in asked(provider)] == ["order/7#view", "order/7#edit"]


PERMISSIONS = [{"rsname": "order/7", "scopes": ["view", "edit"]}]


@pytest.mark.parametrize(
    "claims",
    [
        {"permissions": PERMISSIONS},
        {"authorization": {"permissions": PERMISSIONS}},
        {"permissions": [{"resource_id": "order/7", "resource_scopes": ["view"]}]},
        {"permissions": [{"rsid": "order/7"}]},
    ],
)
async def test_facts_that_carry_permissions_decide_by_themselves(
    serve: Serve, provider: ScriptedProvider, backend: Backend, claims: dict[str, Any]
) -> None:
    provider.answers["rpt"] = {**ALICE, **claims}
    gateway = await serve(guarded(backend), provider_keys=keys(provider))
    assert (await gateway.get("/api/7", token="rpt")).status == 200
    assert (await gateway.get("/api/8", token="rpt")).status == 403
    assert asked(provider) == []


@pytest.mark.parametrize("part", ["a%23edit", "a%2Cb", "%C3%28", "%C2%85", "a%0Ab"])
async def test_a_part_of_the_path_that_would_change_the_question_is_refused_without_one(
    serve: Serve, provider: ScriptedProvider, backend: Backend, part: str
) -> None:
    provider.token_answer = {"result": True}
    gateway = await serve(guarded(backend), provider_keys=keys(provider))
    assert (await gateway.get(f"/api/{part}", token="good")).status in (400, 403)
    assert asked(provider) == []
    assert backend.requests == []


async def test_a_part_of_the_path_cannot_ask_about_many_resources_at_once(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    provider.token_answer = {"result": True}
    routes = guarded(backend)
    routes[0]["auth"]["permissions"] = [{"resource": "{id}"}]
    gateway = await serve(routes, provider_keys=keys(provider))
    assert (await gateway.get("/api/resource-type-any:order", token="good")).status == 403
    assert (await gateway.get("/api/caf%C3%A9", token="good")).status == 200
    assert [call.form["permission"] for call in asked(provider)] == ["café"]


@pytest.mark.parametrize(
    "answer", [Reply(500, {}), Reply(400, {"error": "invalid_grant"}), Reply(401, {}), {"result": "true"}, b"<html>"]
)
async def test_no_answer_is_neither_yes_nor_no_and_is_not_remembered(
    serve: Serve, provider: ScriptedProvider, backend: Backend, answer: Any
) -> None:
    provider.token_answer = answer
    gateway = await serve(guarded(backend), provider_keys=keys(provider, breaker=None))
    unclear = await gateway.get("/api/7", token="good")
    assert (unclear.status, unclear.problem["code"]) == (503, "introspection_unavailable")
    assert unclear.value("Retry-After") is not None
    assert backend.requests == []
    provider.token_answer = {"result": True}
    assert (await gateway.get("/api/7", token="good")).status == 200


async def test_a_provider_that_does_not_take_a_subject_is_asked_as_the_caller(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    def as_bearer(call: Call) -> Any:
        is_bearer = call.header("Authorization") == "Bearer good" and "subject_token" not in call.form
        return {"result": True} if is_bearer else Reply(400, {"error": "invalid_request"})

    provider.token_answer = as_bearer
    gateway = await serve(guarded(backend), provider_keys=keys(provider))
    assert (await gateway.get("/api/7", token="good")).status == 200
    assert (await gateway.get("/api/8", token="good")).status == 200
    assert len(asked(provider)) == 3  # the second time at once


async def test_one_callers_odd_token_does_not_change_how_all_others_are_asked_about(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    """A no to a Bearer may be all that a provider ever says to one: only a yes shows that it takes them."""

    def by_subject(call: Call) -> Any:
        if call.form.get("subject_token") == "odd":
            return Reply(400, {"error": "invalid_request"})
        return {"result": True} if "subject_token" in call.form else DENIED

    provider.answers["odd"] = {**ALICE, "sub": "mallory"}
    provider.token_answer = by_subject
    gateway = await serve(guarded(backend), provider_keys=keys(provider))
    for path in ("/api/7", "/api/8"):
        assert (await gateway.get(path, token="odd")).status == 403
        assert (await gateway.get(path, token="good")).status == 200
    assert len(backend.requests) == 2


async def test_a_public_client_asks_as_the_caller(serve: Serve, provider: ScriptedProvider, backend: Backend) -> None:
    provider.token_answer = {"result": True}
    none = {"client_auth": "none", "client_secret": None}
    gateway = await serve(guarded(backend), provider_keys=keys(provider, **none))
    assert (await gateway.get("/api/7", token="good")).status == 200
    (call,) = asked(provider)
    assert call.header("Authorization") == "Bearer good"
    assert "subject_token" not in call.form


async def test_a_decision_counts_within_the_window_of_the_facts(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    provider.token_answer = {"result": True}
    gateway = await serve(guarded(backend), provider_keys=keys(provider), cache={"ttl": "1s"})
    await gateway.get("/api/7", token="good")
    await asyncio.sleep(0.8)
    await gateway.get("/api/8", token="good")  # asked late in the window
    assert len(asked(provider)) == 2
    await asyncio.sleep(0.3)
    provider.token_answer = DENIED
    assert (await gateway.get("/api/8", token="good")).status == 403


async def test_an_eviction_takes_the_decision(serve: Serve, provider: ScriptedProvider, backend: Backend) -> None:
    provider.token_answer = {"result": True}
    gateway = await serve(guarded(backend), provider_keys=keys(provider))
    assert (await gateway.get("/api/7", token="good")).status == 200
    provider.token_answer = DENIED
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.delete(f"{gateway.admin_url}/cache", json={"sub": "alice"}) as response,
    ):
        assert response.status == 200
    assert (await gateway.get("/api/7", token="good")).status == 403


async def test_a_caller_with_many_paths_floods_nobody(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    provider.token_answer = decides("order/mine#view")
    server = {"unknown_tokens": {"rate": 1, "burst": 10}}
    gateway = await serve(guarded(backend), provider_keys=keys(provider), server=server)
    assert (await gateway.get("/api/mine", token="good")).status == 200
    statuses = [(await gateway.get(f"/api/{number}", token="good")).status for number in range(30)]
    assert set(statuses) == {403, 429}
    assert len(asked(provider)) < 20
    # What is known costs nothing.
    assert (await gateway.get("/api/mine", token="good")).status == 200


async def test_permissions_are_settled_before_a_token_is_obtained(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    provider.token_answer = DENIED
    routes = guarded(backend)
    routes[0]["authorization"] = {"exchange": {"audience": "a"}}
    gateway = await serve(routes, provider_keys=keys(provider))
    assert (await gateway.get("/api/7", token="good")).problem["code"] == "forbidden"
    assert [call.form["grant_type"] for call in asked(provider)] == [UMA]


async def test_a_token_that_has_ended_is_not_asked_about(
    serve: Serve, provider: ScriptedProvider, backend: Backend
) -> None:
    provider.answers["old"] = {**ALICE, "exp": time.time() - 1}
    gateway = await serve(guarded(backend), provider_keys=keys(provider))
    assert (await gateway.get("/api/7", token="old")).status == 401
    assert asked(provider) == []
