"""These tests run a gateway between a recording backend and a scripted provider; see `support.serving`."""

from collections.abc import Iterator

import pytest
from support.connection_states import watched_states
from support.serving import backend, lane, provider, pytest_generate_tests, serve

from gateway.proxy.downstream.client_connection import ClientConnection
from gateway.proxy.fast_lane import FastLane

__all__ = ["backend", "lane", "provider", "pytest_generate_tests", "serve"]


@pytest.fixture(autouse=True, scope="module")
def client_states() -> Iterator[set[tuple[str, str]]]:
    """Every step that a client's connection takes is one of the table."""
    with watched_states() as steps:
        yield steps


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """For each time that the lane was offered something: whether it took it."""
    take, said = FastLane.take, []

    def noted(lane: FastLane, client: ClientConnection, data: bytes) -> bool:
        said.append(take(lane, client, data))
        return said[-1]

    monkeypatch.setattr(FastLane, "take", noted)
    return said
