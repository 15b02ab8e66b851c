"""A gateway between a recording backend and a scripted provider, all in this process and on free ports.

The modules about requests and answers are run over both lanes, the others over the one that is the default.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from support.backend import Backend
from support.lanes import FAST, LANES, lane_keys
from support.running_gateway import RunningGateway, configuration, provider_settings
from support.scripted_provider import ScriptedProvider

ALICE = {
    "active": True,
    "sub": "alice",
    "username": "alice.b",
    "client_id": "web",
    "scope": "orders:read orders:write",
    "realm_access": {"roles": ["manager", "clerk"]},
}

Serve = Callable[..., Awaitable[RunningGateway]]
OVER_BOTH_LANES = {
    "test_signed_identity_wire",
    "test_limits_wire",
    "test_backend_failures",
    "test_backend_credentials",
    "test_bodies",
    "test_cors_wire",
    "test_decisions",
    "test_draining",
    "test_large_identity",
    "test_logged",
    "test_permissions",
    "test_proxy_protocol_header",
    "test_event_endpoint",
    "test_redirects",
    "test_refusals",
    "test_request_bytes",
    "test_resource_metadata",
    "test_response_bytes",
    "test_several_backends",
    "test_scrapes",
    "test_token_endpoint_away",
    "test_tracing",
    "test_upgrade",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "lane" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in OVER_BOTH_LANES:
        metafunc.parametrize("lane", LANES)


@pytest.fixture
def lane() -> str:
    """The way that ordinary requests take through the gateway."""
    return FAST


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    """Knows the token `good`, which is alice's for an hour."""
    scripted = ScriptedProvider()
    await scripted.start()
    scripted.answers["good"] = {**ALICE, "exp": int(time.time()) + 3600}
    yield scripted
    await scripted.stop()


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    """Whatever the test is about, what reached it must have been sound HTTP."""
    recording = Backend()
    await recording.start()
    yield recording
    await recording.stop()
    assert recording.faults == []


@pytest.fixture
async def serve(provider: ScriptedProvider, backend: Backend, lane: str) -> AsyncIterator[Serve]:
    """Starts gateways. Without `routes`: `/open/**` for all, `/api/**` with a token; `more` are keys of both.

    `top` are keys of the whole file.
    """
    started: list[RunningGateway] = []

    async def start(
        routes: list[dict[str, Any]] | None = None,
        *,
        server: dict[str, Any] | None = None,
        provider_keys: dict[str, Any] | None = None,
        cache: dict[str, Any] | None = None,
        events: dict[str, Any] | None = None,
        telemetry: dict[str, Any] | None = None,
        top: dict[str, Any] | None = None,
        **more: Any,
    ) -> RunningGateway:
        text = configuration(
            providers={"p": provider_settings(provider, **(provider_keys or {}))},
            routes=routes or two_routes(backend, **more),
            server={**lane_keys(lane), **(server or {})},
            cache=cache or {},
            **({} if events is None else {"events": events}),
            **({} if telemetry is None else {"telemetry": telemetry}),
            **(top or {}),
        )
        gateway = RunningGateway(text)
        started.append(gateway)
        await gateway.start()
        return gateway

    yield start
    for gateway in started:
        await gateway.stop()
        if not gateway.expects_errors:
            assert gateway.lines.errors == []


def two_routes(recording: Backend, **more: Any) -> list[dict[str, Any]]:
    return [
        {"name": "open", "match": {"path": "/open/**"}, "backend": recording.url, "auth": "none", **more},
        {"name": "api", "match": {"path": "/api/**"}, "backend": recording.url, **more},
    ]
