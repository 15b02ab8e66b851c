"""Who opens a socket closes it, also when the start fails at any of its steps."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from support.running_gateway import RunningGateway, configuration

from gateway import service
from gateway.admin.admin_listener import AdminListener
from gateway.proxy.downstream.listener import Listener
from gateway.workers.supervisor import StartError

# Nobody is there, so that a task looks for its endpoints again and again.
PROVIDER = {"issuer": "http://127.0.0.1:1", "client_id": "gw", "client_secret": "secret"}
ROUTES = [{"name": "all", "backend": "http://127.0.0.1:1"}]
TEXT = configuration(providers={"p": PROVIDER}, routes=ROUTES, decisions={"listen": "127.0.0.1:0"})


def open_sockets() -> set[str]:
    """The sockets of this process, by their inodes."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            name = str(entry.readlink())
        except OSError:
            continue  # the descriptor of the listing itself
        if name.startswith("socket:"):
            found.add(name)
    return found


def failing(*_: object, **__: object) -> None:
    raise ValueError("it cannot start")


async def failing_later(*_: object, **__: object) -> None:
    failing()


def _worker(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(service.Worker, "start", failing_later)


def _joining(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(service, "admin_app", failing)


def _admin(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AdminListener, "start", failing_later)


def _runner(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("aiohttp.web.AppRunner.setup", failing_later)


def _recording(patch: pytest.MonkeyPatch) -> None:
    """All listeners serve by then."""
    patch.setattr(service.Service, "_taken", failing_later)


@pytest.mark.parametrize(
    "breaks", [_worker, _joining, _admin, _runner, _recording], ids=lambda one: one.__name__.strip("_")
)
async def test_a_start_that_fails_leaves_no_socket_open(
    breaks: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = RunningGateway(TEXT)
    before, tasks = open_sockets(), asyncio.all_tasks()
    with monkeypatch.context() as patch:
        breaks(patch)
        with pytest.raises((ValueError, StartError)):
            await gateway.start()
    # The gateway is still referred to here, so that no collection has closed anything for it.
    assert open_sockets() == before
    assert asyncio.all_tasks() == tasks


async def test_a_listener_that_fails_has_those_before_it_end_their_connections_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The public listener accepts before the one for decisions is opened, and a client may be that quick."""
    gateway = RunningGateway(TEXT)
    before, tasks = open_sockets(), asyncio.all_tasks()
    start, seen = Listener.start, []

    async def connects_and_fails(
        self: Listener, sock: socket.socket, tls: ssl.SSLContext | None, *, proxy_protocol: bool = False
    ) -> None:
        if seen:
            seen.append(await asyncio.open_connection(*seen[0]))
            seen[1][1].write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            failing()
        seen.append(sock.getsockname())
        await start(self, sock, tls, proxy_protocol=proxy_protocol)

    with monkeypatch.context() as patch:
        patch.setattr(Listener, "start", connects_and_fails)
        with pytest.raises((ValueError, StartError)):
            await gateway.start()
    _, (reader, writer) = seen
    # Its request is answered, as by any listener that ends, and the connection then closed.
    response = await asyncio.wait_for(reader.read(), 5)
    assert response.startswith(b"HTTP/1.1 401 ")
    assert b"Connection: close" in response
    writer.close()
    await writer.wait_closed()
    assert open_sockets() == before
    assert asyncio.all_tasks() == tasks


async def test_a_stop_leaves_no_socket_open() -> None:
    gateway = RunningGateway(TEXT)
    before = open_sockets()
    await gateway.start()
    await gateway.stop(0.1)
    assert open_sockets() == before
