"""These tests run a gateway between a recording backend and a scripted provider; see `support.serving`."""

from collections.abc import Iterator

import pytest
from support.connection_states import watched_states
from support.serving import backend, lane, provider, pytest_generate_tests, serve

__all__ = ["backend", "lane", "provider", "pytest_generate_tests", "serve"]


@pytest.fixture(autouse=True, scope="module")
def client_states() -> Iterator[set[tuple[str, str]]]:
    """Every step that a client's connection takes is one of the table."""
    with watched_states() as steps:
        yield steps
