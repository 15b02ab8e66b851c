"""A client that asks and does not read gets no more than fits into its connection, and all of it once it reads."""

import asyncio
import socket

import pytest
from support.lanes import LANES
from support.running_gateway import eventually
from support.transcript import echo_marker
from support.wire import Client, request

from gateway.proxy.downstream.client_connection import ClientConnection

# What the transport holds when it says stop, and one response more.
HELD_MAX = 64 * 2**10 + 2**13
COUNT = 1_500


@pytest.fixture(params=LANES)
def lane(request) -> str:
    return request.param


@pytest.fixture
def clients(monkeypatch) -> list[ClientConnection]:
    """The connections that were made; the kernel holds little of what is written to them."""
    made, begin = list[ClientConnection](), ClientConnection.connection_made

    def connection_made(self: ClientConnection, transport: asyncio.Transport) -> None:
        made.append(self)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**12)
        begin(self, transport)

    monkeypatch.setattr(ClientConnection, "connection_made", connection_made)
    return made


async def unread(client: Client, connections: list[ClientConnection], wire: bytes) -> int:
    """Send all of it without reading; the most that the gateway held of responses."""
    client.writer.write(wire)
    most, seen, calm = 0, -1, 0
    while calm < 20:
        await asyncio.sleep(0.01)
        held = max(one.transport.get_write_buffer_size() for one in connections)
        calm = calm + 1 if held == seen and held else 0
        most, seen = max(most, held), held
    return most


@pytest.mark.parametrize("target", ["/nowhere", "/open/x"])
async def test_responses_that_nobody_reads_stay_few(serve, backend, clients, target):
    backend.default = echo_marker
    client = await (await serve()).client(receive_buffer=2**12)
    many = b"".join(request("GET", target, f"X-Marker: {number}") for number in range(COUNT))
    assert await unread(client, clients, many) < HELD_MAX
    answers = [await client.answer() for _ in range(COUNT)]
    if target == "/open/x":
        assert [one.body for one in answers] == [b"%d" % number for number in range(COUNT)]
    else:
        assert {one.status for one in answers} == {404}


async def test_decisions_that_nobody_reads_stay_few(serve, clients):
    gateway = await serve(top={"decisions": {"listen": "127.0.0.1:0"}})
    told = ("X-Forwarded-Method: GET", "X-Forwarded-Host: gw.example", "X-Forwarded-Uri: /open/x")
    asking = request("GET", "/auth", *told)
    async with await Client.of(gateway.decisions_address, receive_buffer=2**12) as client:
        assert await unread(client, clients, asking * COUNT) < HELD_MAX
        assert {(await client.answer()).status for _ in range(COUNT)} == {200}


async def test_a_client_that_goes_on_asking_and_reads_nothing_is_ended(serve, clients):
    gateway = await serve(server={"idle_timeout": "1s", "header_timeout": "1s"})
    client = await gateway.client(receive_buffer=2**12)
    client.writer.write(request("GET", "/nowhere") * COUNT)
    await eventually(lambda: bool(clients) and clients[0].is_congested)

    async def go_on() -> None:
        while True:
            client.writer.write(request("GET", "/nowhere"))
            await asyncio.sleep(0.05)

    asking = asyncio.create_task(go_on())
    await eventually(clients[0].transport.is_closing, within_s=10)
    asking.cancel()
