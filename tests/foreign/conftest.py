"""Other people's programs around a gateway: it serves as `gateway serve` does, before a recording backend.

What a program needs (a runtime, a package, a suite's folder) may not be there; then its tests are skipped with the
reason. CONTRIBUTING.md says how to get each.
"""

import time
from collections.abc import AsyncIterator

import pytest
from support.backend import Backend, ok, script
from support.counting_relay import TOKEN
from support.running_gateway import RunningGateway, configuration, provider_settings
from support.scripted_provider import ScriptedProvider


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    """Answers `hello`; what reached it must have been sound HTTP."""
    recording = Backend()
    await recording.start()
    recording.default = script(ok(b"hello", "Content-Type: text/plain"))
    yield recording
    await recording.stop()
    assert recording.faults == []


@pytest.fixture
async def serve(backend: Backend) -> AsyncIterator[object]:
    """Starts a gateway with `/api/**` for the token `good` and `/open/**` for all."""
    provider = ScriptedProvider()
    await provider.start()
    provider.answers[TOKEN] = {"active": True, "sub": "alice", "exp": int(time.time()) + 3600}
    started: list[RunningGateway] = []

    async def start(**server: object) -> RunningGateway:
        routes = [
            {"name": "open", "match": {"path": "/open/**"}, "backend": backend.url, "auth": "none"},
            {"name": "api", "match": {"path": "/api/**"}, "backend": backend.url},
        ]
        text = configuration(providers={"p": provider_settings(provider)}, routes=routes, server=server)
        gateway = RunningGateway(text)
        started.append(gateway)
        await gateway.start()
        return gateway

    yield start
    for gateway in started:
        await gateway.stop()
        assert gateway.lines.errors == []
    await provider.stop()
