"""What a backend does with its end of a connection that many callers share: ends it, or reads bodies as requests.

The backends here are careless on purpose, and real: each says on its own what it took for a request.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from support.backend import CLOSE, Pause, script
from support.lanes import lane_keys
from support.running_gateway import RunningGateway, configuration, provider_settings
from support.wire import Client, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FORGED = b"GET /api/forged HTTP/1.1\r\nHost: x\r\nX-User-Id: root\r\n\r\n"
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: ([0-9]+)\r\n")

Converse = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(converse: Converse) -> AsyncIterator[str]:
    """The URL of a backend that does this on each connection, and then ends it."""

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(EOFError, OSError):
            await converse(reader, writer)
        writer.close()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def serving(backend: str, provider: Any, lane: str, **keys: Any) -> AsyncIterator[RunningGateway]:
    routes = [
        {"name": "open", "match": {"path": "/open/**"}, "backend": backend, "auth": "none", **keys},
        {"name": "api", "match": {"path": "/api/**"}, "backend": backend, **keys},
    ]
    gateway = RunningGateway(
        configuration(providers={"p": provider_settings(provider)}, routes=routes, server=lane_keys(lane))
    )
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


async def ends_after_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers HEAD as GET, whose body would have no end but the connection's; takes everything else as it should."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"HEAD "):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            return
        if length := _LENGTH.search(head):
            await reader.readexactly(int(length[1]))
        writer.write(ANSWER)


@pytest.mark.parametrize(("is_pipelined", "tries"), [(True, 2000), (False, 500)])
async def test_a_connection_that_is_about_to_end_is_given_to_nobody(provider, lane, is_pipelined, tries):
    first, second = request("HEAD", "/open/a"), request("POST", "/open/b", body=b"abc")
    statuses = set()
    async with (
        listening(ends_after_head) as url,
        serving(url, provider, lane, retries=0) as gateway,
        await Client.of(gateway.address) as client,
    ):
        for _ in range(tries):
            await client.send(first + second if is_pipelined else first)
            statuses.add((await client.answer("HEAD")).status)
            if not is_pipelined:
                await client.send(second)
            statuses.add((await client.answer("POST")).status)
    assert statuses == {200}


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
    ],
)
async def test_nor_is_one_that_ends_later_than_the_next_request_comes(stage, backend, head):
    backend.answers.append(script(head, Pause(0.3), CLOSE))
    answer = await stage.gateway.ask(request("HEAD", "/open/a"), "HEAD")
    asked = await stage.gateway.ask(request("POST", "/open/b", body=b"abc"))
    assert (answer.status, asked.status) == (int(head[9:12]), 200)
    first, second = backend.requests[-2:]
    assert first.connection is not second.connection


class Careless:
    """A backend that reads no body where it expects none, and so takes it for the next request (CL.0)."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            length = _LENGTH.search(head)
            if head.startswith((b"POST ", b"PUT ")) and length:
                await reader.readexactly(int(length[1]))
            writer.write(ANSWER.removesuffix(b"ok") if head.startswith(b"HEAD ") else ANSWER)
            if b"\r\nConnection: close\r\n" in head:
                return


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
async def test_a_body_that_a_backend_does_not_read_is_never_a_request(provider, lane, method):
    careless = Careless()
    provider.answers["good"] = {"active": True, "sub": "alice"}
    async with listening(careless.converse) as url, serving(url, provider, lane) as gateway:
        for _ in range(3):
            async with await Client.of(gateway.address) as client:
                await client.send(request(method, "/open/x", body=FORGED))
                assert (await client.answer(method)).status == 200
                await client.send(request("GET", "/api/own", token="good"))
                assert (await client.answer()).status == 200
    assert [head.split(b" ", 2)[:2] for head in careless.heads] == [
        [method.encode(), b"/open/x"],
        [b"GET", b"/api/own"],
    ] * 3
    assert not any(b"root" in head for head in careless.heads)
