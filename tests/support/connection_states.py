"""Holds clients' connections to the table of what may follow what, for as long as a test runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from gateway.proxy.downstream import connection_state
from gateway.proxy.downstream.client_connection import ClientConnection
from gateway.proxy.downstream.connection_state import MAY_FOLLOW

STATES = {name: state for name, state in vars(connection_state).items() if isinstance(state, int)}
NAMES = {state: name for name, state in STATES.items()}


@contextmanager
def watched_states() -> Iterator[set[tuple[str, str]]]:
    """The steps that are taken, by name. At the end each must have been one of the table."""
    slot: Any = vars(ClientConnection)["state"]
    steps: set[tuple[str, str]] = set()

    def become(client: ClientConnection, state: int) -> None:
        try:
            before = slot.__get__(client)
        except AttributeError:  # it is being made
            before = state
        if before != state:
            steps.add((NAMES[before], NAMES[state]))
        slot.__set__(client, state)

    with mock.patch.object(ClientConnection, "state", property(slot.__get__, become)):
        yield steps
    allowed = {(NAMES[before], NAMES[after]) for before, following in MAY_FOLLOW.items() for after in following}
    assert steps - allowed == set()
