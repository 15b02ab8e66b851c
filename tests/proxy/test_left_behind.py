"""What a conversation leaves behind: nothing that only Python's collector of cycles frees.

A full collection may be minutes away. Until then each connection, exchange and body that is part of a cycle keeps its
memory, and a worker's grows and falls by megabytes. So what ends is to be gone with the last that refers to it.
"""

import asyncio
from collections import Counter

import pytest
from support.backend import CLOSE, HANG, RAW, RESET, chunked, ok, script
from support.running_gateway import eventually
from support.uncollected import ours, uncollected
from support.wire import BrokenOffError, request

TIMES = 12
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def plain(gateway, backend):
    async with await gateway.client() as client:
        for _ in range(3):
            await client.send(request("GET", "/api/x", token="good"))
            assert (await client.answer()).status == 200


async def answer_in_chunks(gateway, backend):
    backend.answers.append(script(chunked(b"a" * 100, b"b")))
    async with await gateway.client() as client:
        await client.send(request("GET", "/open/x"))
        assert (await client.answer()).body == b"a" * 100 + b"b"


async def answer_that_breaks_off(gateway, backend):
    backend.answers.append(script(chunked(b"a" * 100, end=b""), RESET))
    async with await gateway.client() as client:
        await client.send(request("GET", "/open/x"))
        with pytest.raises(BrokenOffError):
            await client.answer()


async def request_of_the_general_lane(gateway, backend):
    async with await gateway.client() as client:
        await client.send(request("POST", "/open/x", "Expect: x", body=b"hello"))
        assert (await client.answer()).status == 200


async def refused_head(gateway, backend):
    async with await gateway.client() as client:
        await client.send(b"GET /open/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert (await client.answer()).status == 400


async def client_that_leaves_while_it_waits(gateway, backend):
    before = len(backend.requests)
    backend.answers.append(script(HANG))
    client = await gateway.client()
    await client.send(request("GET", "/open/x"))
    await eventually(lambda: len(backend.requests) > before)
    client.reset()


async def upload_that_breaks_off(gateway, backend):
    client = await gateway.client()
    await client.send(b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    await asyncio.sleep(0.05)
    client.reset()
    await asyncio.sleep(0.05)


async def tunnel_that_the_client_ends(gateway, backend):
    backend.answers.append(script(SWITCHED, RAW))
    async with await gateway.client() as client:
        await client.send(request("GET", "/open/x", *UPGRADE))
        assert (await client.head()).status == 101
        await client.send(b"some bytes")


async def tunnel_that_the_backend_ends(gateway, backend):
    backend.answers.append(script(SWITCHED, b"some bytes", CLOSE))
    async with await gateway.client() as client:
        await client.send(request("GET", "/open/x", *UPGRADE))
        assert (await client.head()).status == 101
        await client.rest()


async def upgrade_that_is_refused(gateway, backend):
    backend.answers.append(script(ok(b"no")))
    async with await gateway.client() as client:
        await client.send(request("GET", "/open/x", *UPGRADE))
        assert (await client.answer()).status == 200


CONVERSATIONS = [
    plain,
    answer_in_chunks,
    answer_that_breaks_off,
    request_of_the_general_lane,
    refused_head,
    client_that_leaves_while_it_waits,
    upload_that_breaks_off,
    tunnel_that_the_client_ends,
    tunnel_that_the_backend_ends,
    upgrade_that_is_refused,
]


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda one: one.__name__)
async def test_what_has_ended_needs_no_collector(serve, backend, conversation):
    gateway = await serve()
    await conversation(gateway, backend)
    await asyncio.sleep(0.1)
    with uncollected() as left:
        for _ in range(TIMES):
            await conversation(gateway, backend)
        await asyncio.sleep(0.3)
    found = Counter(type(one).__name__ for one in ours(left))
    assert not {name: count for name, count in found.items() if count >= TIMES // 2}
