"""One gateway for each test module, between a recording backend and a scripted provider; see `support.transcript`.

`lane` is the way that ordinary requests take through the gateway; what is not ordinary takes the general lane on both.
A module may replace the `routes` and the `server_keys`.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from support.backend import Backend
from support.connection_states import watched_states
from support.lanes import LANES, is_wanted, lane_keys
from support.running_gateway import RunningGateway, configuration, provider_settings
from support.scripted_provider import ScriptedProvider
from support.transcript import Stage, echo_marker

in_module = {"scope": "module", "loop_scope": "module"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=[item for item in items if not is_wanted(item)])
    items[:] = [item for item in items if is_wanted(item)]


@pytest.fixture(scope="module", params=LANES)
def lane(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture(**in_module)
async def backend() -> AsyncIterator[Backend]:
    """Answers each request with its marker; whatever the test is about, what reached it must have been sound HTTP."""
    recording = Backend()
    recording.default = echo_marker
    await recording.start()
    yield recording
    await recording.stop()
    assert recording.faults == []


@pytest_asyncio.fixture(**in_module)
async def provider() -> AsyncIterator[ScriptedProvider]:
    scripted = ScriptedProvider()
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest.fixture(scope="module")
def routes(backend: Backend) -> list[dict[str, Any]]:
    """Open to all, open to all but known where there is a token, and with a token alone."""
    identity = {"headers": {"X-User-Id": "sub"}}
    return [
        {"name": name, "match": {"path": f"/{name}/**"}, "backend": backend.url, "auth": auth, "identity": identity}
        for name, auth in (("open", "none"), ("any", "optional"), ("api", "required"))
    ]


@pytest.fixture(scope="module")
def server_keys() -> dict[str, Any]:
    """A refusal must not need this deadline: `support.transcript` takes no 408 for one."""
    return {"header_timeout": "5s"}


@pytest_asyncio.fixture(**in_module)
async def gateway(
    backend: Backend,
    provider: ScriptedProvider,
    routes: list[dict[str, Any]],
    server_keys: dict[str, Any],
    lane: str,
) -> AsyncIterator[RunningGateway]:
    """A gateway whose requests take `lane`; that it fails on nothing is part of every test."""
    server = {**server_keys, **lane_keys(lane)}
    text = configuration(providers={"p": provider_settings(provider)}, routes=routes, server=server)
    running = RunningGateway(text)
    await running.start()
    yield running
    await running.stop()
    if not running.expects_errors:
        assert running.lines.errors == []


@pytest.fixture(scope="module")
def stage(gateway: RunningGateway, backend: Backend, provider: ScriptedProvider) -> Stage:
    return Stage(gateway, backend, provider)


@pytest.fixture(autouse=True, scope="module")
def client_states() -> Iterator[set[tuple[str, str]]]:
    """Every step that a client's connection takes is one of the table."""
    with watched_states() as steps:
        yield steps
