"""What a client's connection is at: each step of the table is taken by some exchange, and no other one by any."""

import pytest
from support.connection_states import watched_states
from support.wire import request

from gateway.proxy.downstream.connection_state import CLOSED, MAY_FOLLOW

ODD = "Expect: x"  # keeps a request from the fast lane
CHUNKED = "Transfer-Encoding: chunked"

WAYS = {
    "the fast lane": (
        [request("GET", "/open/x")],
        {("ACCEPTED", "FRESH"), ("FRESH", "FAST"), ("FAST", "IDLE")},
    ),
    "the general lane": (
        [request("GET", "/open/x", ODD)],
        {("FRESH", "HEAD"), ("HEAD", "REQUEST"), ("REQUEST", "REST_OF_BODY"), ("REST_OF_BODY", "IDLE")},
    ),
    "one after the other": (
        [request("GET", "/open/x"), request("GET", "/open/x", ODD), request("GET", "/open/x")],
        {("IDLE", "HEAD"), ("IDLE", "FAST")},
    ),
    "what is not a head": ([b"GET /open/x HTTP/1.1\r\nHost: a\r\nX A: 1\r\n\r\n"], {("UNSOUND", "LAST")}),
    "a body that breaks": ([request("POST", "/open/x", CHUNKED) + b"zz\r\n"], {("REQUEST", "BROKEN")}),
}


@pytest.mark.interpreted  # compiled code does not ask the watch
@pytest.mark.parametrize("way", WAYS)
async def test_the_steps_of_an_exchange(serve, backend, way):
    wires, steps = WAYS[way]
    with watched_states() as taken:
        gateway = await serve()
        async with await gateway.client() as client:
            for wire in wires:
                await client.send(wire)
                await client.answer()
    assert steps <= taken


def test_every_state_ends_and_nothing_follows_the_end():
    assert all(CLOSED in following for state, following in MAY_FOLLOW.items() if state != CLOSED)
    assert not MAY_FOLLOW[CLOSED]
