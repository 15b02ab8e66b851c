"""How a backend is reached: over TCP, over a Unix socket, by the first of its addresses that answers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.backend import Backend
from support.wire import request

from gateway.config.addresses import parse_backend
from gateway.proxy.upstream.pools import UpstreamPools

NAME = "backend.example"


# Unix sockets.


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Backend]:
    recording = Backend(path=str(tmp_path / "backend.sock"))
    await recording.start()
    yield recording
    await recording.stop()
    assert recording.faults == []


@pytest.mark.parametrize("lane", ["general", "fast"])
@pytest.mark.parametrize(("prefix", "before"), [("", ""), (":/", ""), (":/base/v1", "/base/v1"), (":/base/", "/base")])
async def test_a_unix_socket_serves_as_a_host_does(serve, local, lane, prefix, before):
    gateway = await serve(backend=local.url + prefix)
    for _ in range(2):
        answer = await gateway.ask(request("POST", "/open/x?a=1", body=b"hello"), "POST")
        assert (answer.status, answer.body) == (200, b"from the backend")
    first, second = local.requests
    assert (first.target, first.values("Host"), first.body) == (f"{before}/open/x?a=1", ["localhost"], b"hello")
    assert first.connection is second.connection


async def test_a_unix_socket_gets_the_clients_host_where_it_is_kept(serve, local):
    gateway = await serve(backend=local.url, preserve_host=True)
    await gateway.get("/open/x")
    assert local.requests[0].values("Host") == ["gw.example"]


async def test_a_unix_socket_that_is_not_there_is_a_502(serve, tmp_path):
    gateway = await serve(backend=f"unix:{tmp_path}/nobody.sock")
    answer = await gateway.get("/open/x")
    assert (answer.status, answer.code) == (502, "bad_gateway")
    assert "nobody.sock" not in answer.body.decode()


async def test_two_prefixes_of_a_socket_share_its_connections(serve, local):
    gateway = await serve(backend=[f"{local.url}:/a", f"{local.url}:/b"])
    for _ in range(4):
        await gateway.get("/open/x")
    assert [one.target for one in local.requests] == ["/a/open/x", "/b/open/x"] * 2
    assert len(local.connections) == 1


# Names with several addresses.


@contextmanager
def resolving(monkeypatch: pytest.MonkeyPatch, *ports: int) -> Iterator[list[int]]:
    """`NAME` has these ports of loopback for addresses; how often it was looked up is counted in what is given."""
    loop, looked_up = asyncio.get_running_loop(), []
    resolve = loop.getaddrinfo

    async def answer(host: str, *more: Any, **keys: Any) -> Any:
        if host != NAME:
            return await resolve(host, *more, **keys)
        looked_up.append(1)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

    with monkeypatch.context() as patch:
        patch.setattr(loop, "getaddrinfo", answer)
        yield looked_up


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where nobody answers, nor refuses: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        yield port
        for one in waiting:
            one.close()


@pytest.fixture
def closed() -> int:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return int(gone.getsockname()[1])


@pytest.mark.parametrize("which", ["silent", "closed"])
async def test_an_address_that_does_not_answer_holds_up_nobody_for_long(serve, backend, request, monkeypatch, which):
    port = request.getfixturevalue(which)
    gateway = await serve(backend=f"http://{NAME}", retries=0, connect_timeout="5s")
    with resolving(monkeypatch, port, backend.port) as looked_up:
        async with asyncio.timeout(4):
            for _ in range(3):
                assert (await gateway.get("/open/x")).status == 200
    assert backend.requests[0].values("Host") == [NAME]
    assert (len(backend.connections), len(looked_up)) == (1, 1)


async def test_a_name_whose_addresses_all_fail_is_looked_up_again(serve, backend, monkeypatch, closed):
    gateway = await serve(backend=f"http://{NAME}", retries=0)
    with resolving(monkeypatch, closed):
        assert (await gateway.get("/open/x")).status == 502
    with resolving(monkeypatch, backend.port):
        assert (await gateway.get("/open/x")).status == 200


async def test_a_name_without_an_address_is_a_502(serve, monkeypatch):
    gateway = await serve(backend=f"http://{NAME}", retries=0)
    with resolving(monkeypatch):
        assert (await gateway.get("/open/x")).status == 502


async def test_a_resolver_that_hangs_has_one_thread_of_each_backend_and_not_one_of_each_request(
    serve, backend, monkeypatch
):
    """There are few threads, and all other backends need them, too."""
    gateway = await serve(backend=f"http://{NAME}", retries=0, connect_timeout="200ms")
    with resolving(monkeypatch, backend.port) as looked_up:
        loop, may_answer = asyncio.get_running_loop(), asyncio.Event()
        answer = loop.getaddrinfo

        async def hang(*args: Any, **keys: Any) -> Any:
            found = await answer(*args, **keys)
            await may_answer.wait()
            return found

        monkeypatch.setattr(loop, "getaddrinfo", hang)
        given_up = await asyncio.gather(*(gateway.get("/open/x") for _ in range(20)))
        assert {one.status for one in given_up} == {504}
        waiting = [asyncio.create_task(gateway.get("/open/x")) for _ in range(5)]
        await asyncio.sleep(0.05)
        assert len(looked_up) == 1
        may_answer.set()
        assert {(await one).status for one in waiting} == {200}
        assert len(looked_up) == 1


# Pools.


async def test_a_pool_is_dropped_once_it_has_been_empty_for_a_while(backend):
    """Not at once: who has just been given it may be about to ask it, and what it opens has deadlines to be kept."""
    place = parse_backend(backend.url)
    backends = UpstreamPools(lambda: 10)
    pool = backends.pool(place)
    backends.sweep(0.0)
    assert backends.pool(place) is pool
    connection = await pool.acquire(5.0)
    for _ in range(3):
        backends.sweep(0.0)
    assert backends.pool(place) is pool
    connection.abandon()
    backends.sweep(0.0)
    backends.sweep(0.0)
    assert backends.pool(place) is not pool
    backends.close()
