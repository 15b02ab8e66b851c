"""One client that leaves, sends too much at once or never ends, and what it costs the others: nothing that stays."""

import asyncio
import socket
import struct

import pytest
from support.backend import Wait, ok, script
from support.lanes import GENERAL, lane_keys, lanes
from support.running_gateway import RunningGateway, configuration, eventually, provider_settings
from support.wire import Client, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASK = request("GET", "/open/x")
# More than is read ahead of a response, in both lanes, and less than the kernel takes for the gateway.
AHEAD = request("GET", "/open/ahead") * 2_500
WITHIN_S = 5.0  # several times the sweep's period, and a fraction of the route's time-out


async def leave(client: Client, how: str) -> None:
    if how == "reset":
        sock = client.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.transport.abort()
    await client.close()


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("ahead", [b"", AHEAD], ids=["nothing", "requests"])
async def test_a_client_that_leaves_is_noticed_though_nothing_more_is_read(gateway, backend, ahead, how):
    """Else a client holds a connection to a backend without having one itself, for as long as the backend waits."""
    go_on = asyncio.Event()
    backend.answers.append(script(Wait(go_on), ok(b"late")))
    try:
        client = await Client.of(gateway.address)
        begun = asyncio.create_task(backend.seen(len(backend.requests) + 1))
        await client.send(ASK)
        seen = await begun
        await client.send(ahead)
        await leave(client, how)
        await eventually(lambda: bool(seen.connection.ended), within_s=WITHIN_S)
    finally:
        go_on.set()


async def test_a_client_that_resets_an_upload_is_noticed_though_the_backend_takes_none_of_it(provider, lane):
    """A client that only ends may have sent all of its body, which the backend is to have."""

    done = asyncio.Event()

    async def take_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()  # meanwhile no more is read than the stream's buffer holds
        writer.close()

    server = await asyncio.start_server(take_nothing, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    route = {"name": "open", "match": {"path": "/open/**"}, "backend": url, "auth": "none", "max_body": "unlimited"}
    providers = {"p": provider_settings(provider)}
    running = RunningGateway(configuration(providers=providers, routes=[route], server=lane_keys(lane)))
    await running.start()
    try:
        client = await Client.of(running.address)
        await client.send(b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        assert await client.send_until_stuck(bytes(2**16), 50_000_000) < 50_000_000
        await leave(client, "reset")
        await eventually(lambda: any(b'"path":"/open/x"' in raw for raw in running.lines.raw), within_s=WITHIN_S)
    finally:
        done.set()
        await running.stop()
        server.close()


@lanes(GENERAL)
async def test_a_slow_backend_gets_a_whole_upload_whose_client_ends_behind_it(provider, lane):
    """Some clients send and leave. The sweep comes by several times meanwhile."""
    size, got = 8 * 2**20, bytearray()

    async def take_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        while data := await reader.read(2**16):
            got.extend(data)
            await asyncio.sleep(0.02)
        writer.close()

    server = await asyncio.start_server(take_slowly, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    route = {"name": "open", "match": {"path": "/open/**"}, "backend": url, "auth": "none"}
    providers = {"p": provider_settings(provider)}
    running = RunningGateway(configuration(providers=providers, routes=[route], server=lane_keys(lane)))
    await running.start()
    try:
        client = await Client.of(running.address)
        client.writer.write(request("POST", "/open/x", body=bytes(size)))
        client.writer.write_eof()
        await eventually(lambda: len(got.partition(b"\r\n\r\n")[2]) == size)
        await client.close()
    finally:
        await running.stop()
        server.close()
