"""WebSockets through the gateway, and everything else that asks for another protocol."""

import asyncio
import base64
import hashlib

import aiohttp
import pytest
from aiohttp import web
from support.backend import CLOSE, HANG, RAW, Pause, Wait, ok, script
from support.running_gateway import eventually
from support.scripted_provider import Fault
from support.wire import request

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ASK = ["Connection: Upgrade", "Upgrade: websocket", f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13"]
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-A: b\r\n\r\n"


def asking(path="/api/x", token="good", lines=ASK, **more):
    return request("GET", path, *lines, token=token, **more)


class Echo:
    """A WebSocket server that sends back what it gets."""

    def __init__(self):
        self.closed_with = None
        self.seen = []
        self.socket = None

    async def handle(self, request_):
        self.seen.append(request_)
        self.socket = web.WebSocketResponse(protocols=["chat.v2", "chat.v1"], max_msg_size=2**26)
        await self.socket.prepare(request_)
        async for message in self.socket:
            if message.type == aiohttp.WSMsgType.TEXT:
                await self.socket.send_str(message.data)
            else:
                await self.socket.send_bytes(message.data)
        self.closed_with = self.socket.close_code
        return self.socket


@pytest.fixture
async def echo(aiohttp_server):
    echo = Echo()
    app = web.Application()
    app.router.add_get("/api/x", echo.handle)
    server = await aiohttp_server(app)
    echo.url = f"http://127.0.0.1:{server.port}"
    return echo


@pytest.fixture
async def http():
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer good"}) as session:
        yield session


class TestWebSocket:
    async def test_messages_pass_both_ways(self, serve, echo, http):
        gateway = await serve(backend=echo.url)
        async with http.ws_connect(gateway.url + "/api/x", max_msg_size=2**26) as ws:
            for text in ("hello", "", "J\u00fcrgen " * 10_000):
                await ws.send_str(text)
                assert await ws.receive_str(timeout=10) == text
            await ws.send_bytes(b"\0\xff" * 2_000_000)
            assert await ws.receive_bytes(timeout=10) == b"\0\xff" * 2_000_000
        await eventually(lambda: echo.closed_with == 1000)
        assert echo.seen[0].headers["X-User-Id"] == "alice"
        assert "Authorization" not in echo.seen[0].headers
        line = await gateway.log_line()
        assert (line["status"], line["subject"]) == (101, "alice")
        assert line["bytes_sent"] > 4_000_000
        assert line["bytes_received"] > 4_000_000

    async def test_compression_and_subprotocol_are_agreed_end_to_end(self, serve, echo, http):
        gateway = await serve(backend=echo.url)
        async with http.ws_connect(gateway.url + "/api/x", compress=15, protocols=["chat.v1"]) as ws:
            assert ws.compress
            assert ws.protocol == "chat.v1"
            await ws.send_str("compress me " * 1000)
            assert await ws.receive_str(timeout=10) == "compress me " * 1000

    async def test_the_backend_may_close(self, serve, echo, http):
        gateway = await serve(backend=echo.url)
        async with http.ws_connect(gateway.url + "/api/x") as ws:
            await ws.send_str("x")
            await ws.receive_str(timeout=10)
            closing = asyncio.create_task(echo.socket.close(code=4001, message=b"enough"))
            message = await ws.receive(timeout=10)
            assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "enough")
            await closing

    async def test_a_client_that_vanishes_is_noticed_at_the_backend(self, serve, backend):
        backend.default = script(SWITCH, RAW)
        gateway = await serve()
        client = await gateway.client()
        await client.send(asking())
        assert (await client.head()).status == 101
        client.reset()
        await backend.connections[0].wait_ended()
        await gateway.log_line()

    async def test_a_backend_that_vanishes_is_noticed_by_the_client(self, serve, backend):
        backend.default = script(SWITCH + b"last words", CLOSE)
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(asking())
            assert (await client.head()).status == 101
            assert await client.rest() == b"last words"

    async def test_the_routes_timeouts_do_not_bound_it(self, serve, backend):
        backend.default = script(SWITCH, Pause(0.6), b"still here", RAW)
        gateway = await serve(timeout="200ms", read_timeout="200ms", server={"idle_timeout": "200ms"})
        async with await gateway.client() as client:
            await client.send(asking())
            assert (await client.head()).status == 101
            assert await client.read_exactly(10) == b"still here"
            await client.send(b"and here")
            await backend.connections[0].wait_for(b"and here")

    @pytest.mark.parametrize("to_backend", [True, False])
    async def test_a_slow_end_holds_up_the_other(self, serve, backend, to_backend):
        backend.default = script(SWITCH, RAW)
        gateway = await serve()
        async with await gateway.client(receive_buffer=65536) as client:
            await client.send(asking())
            assert (await client.head()).status == 101
            connection = backend.connections[0]
            if to_backend:
                connection.pause()
                client.writer.write(b"x" * 40_000_000)
                await asyncio.sleep(0.5)
                assert client.writer.transport.get_write_buffer_size() > 20_000_000
                connection.resume()
                await eventually(lambda: connection.received.endswith(b"x" * 40_000_000))
            else:
                connection.send(b"x" * 40_000_000)
                await asyncio.sleep(0.5)
                assert connection.unsent() > 20_000_000
                assert await client.read_exactly(40_000_000) == b"x" * 40_000_000


class TestHalfClosed:
    """Each direction ends by itself (RFC 9293 §3.6)."""

    async def test_a_client_that_sends_no_more_still_hears_the_backend_to_its_end(self, serve, backend):
        go_on = asyncio.Event()
        backend.default = script(SWITCH, Wait(go_on), b"last words", RAW)
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(asking())
            assert (await client.head()).status == 101
            await client.send(b"that is all")
            client.writer.write_eof()
            assert await backend.connections[0].wait_ended() == "closed"
            assert backend.connections[0].received.endswith(b"that is all")
            assert gateway.lines.requests == []
            go_on.set()
            assert await client.rest() == b"last words"
        line = await gateway.log_line()
        assert (line["status"], line["bytes_sent"], line["bytes_received"]) == (101, 10, 11)

    async def test_a_backend_that_sends_no_more_still_hears_the_client_to_its_end(self, serve, backend):
        backend.default = script(SWITCH, RAW)
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(asking())
            assert (await client.head()).status == 101
            connection = backend.connections[0]
            connection.send(b"that is all")
            connection.send_no_more()
            assert await client.rest() == b"that is all"
            await client.send(b"last words")
            await connection.wait_for(b"last words")
            client.writer.write_eof()
            await connection.wait_ended()
        await gateway.log_line()

    @pytest.mark.parametrize("who", ["client", "backend"])
    async def test_one_that_is_silent_ends_after_the_idle_timeout_and_not_before(self, serve, backend, who):
        backend.default = script(SWITCH, Wait(asyncio.Event()))
        gateway = await serve(server={"idle_timeout": "400ms"})
        async with await gateway.client() as client:
            await client.send(asking())
            assert (await client.head()).status == 101
            connection = backend.connections[0]
            client.writer.write_eof() if who == "client" else connection.send_no_more()
            for _ in range(8):
                await asyncio.sleep(0.1)
                connection.send(b"x") if who == "client" else client.writer.write(b"x")
            assert gateway.lines.requests == []
            await gateway.log_line()

    @pytest.mark.parametrize("to_backend", [True, False])
    async def test_what_was_sent_before_the_end_arrives_where_the_other_end_is_slow(self, serve, backend, to_backend):
        backend.default = script(SWITCH, RAW)
        gateway = await serve()
        async with await gateway.client(receive_buffer=65536) as client:
            await client.send(asking())
            assert (await client.head()).status == 101
            connection = backend.connections[0]
            if to_backend:
                connection.pause()
                client.writer.write(b"x" * 20_000_000)
                client.writer.write_eof()
                await asyncio.sleep(0.3)
                connection.resume()
                await connection.wait_ended()
                assert connection.received.endswith(b"x" * 20_000_000)
            else:
                connection.send(b"x" * 20_000_000)
                connection.send_no_more()
                await asyncio.sleep(0.3)
                assert await client.rest() == b"x" * 20_000_000


class TestHandshake:
    async def test_head_of_the_request_and_of_the_answer(self, serve, backend):
        backend.default = script(SWITCH, RAW)
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(
                asking(lines=[*ASK, "Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: a"])
            )
            answer = await client.head()
        seen = backend.requests[0]
        assert (seen.value("Connection"), seen.value("Upgrade")) == ("Upgrade", "websocket")
        assert seen.value("Sec-WebSocket-Key") == KEY
        assert seen.value("Sec-WebSocket-Extensions") == "permessage-deflate"
        assert seen.value("X-User-Id") == "alice"
        assert seen.value("Content-Length") is None
        assert answer.reason == "Switching Protocols"
        assert (answer.value("Connection"), answer.value("Upgrade")) == ("Upgrade", "websocket")
        assert answer.value("X-A") == "b"
        assert answer.value("X-Request-Id") == seen.value("X-Request-Id")
        assert {"content-length", "transfer-encoding", "content-type", "server"}.isdisjoint(answer.names)

    async def test_bytes_behind_the_request_wait_for_the_101(self, serve, backend):
        go_on = asyncio.Event()
        backend.default = script(Wait(go_on), SWITCH, RAW)
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(asking() + b"early frame" + b"x" * 200_000)
            await backend.seen()
            await asyncio.sleep(0.05)
            assert b"early" not in backend.connections[0].received
            go_on.set()
            assert (await client.head()).status == 101
            await eventually(lambda: backend.connections[0].received.endswith(b"x" * 200_000))
            assert backend.connections[0].received.count(b"early frame") == 1

    async def test_bytes_behind_the_101_are_the_first_of_the_tunnel(self, serve, backend):
        backend.default = script(SWITCH + b"first frame", RAW)
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(asking())
            assert (await client.head()).status == 101
            assert await client.read_exactly(11) == b"first frame"

    @pytest.mark.parametrize("token", [None, "junk"])
    async def test_no_backend_connection_before_the_token_is_good(self, serve, backend, token):
        gateway = await serve()
        async with await gateway.client() as client:
            smuggled = request("GET", "/open/next")
            await client.send(asking(token=token) + smuggled)
            assert (await client.answer()).status == 401
            assert await client.rest() == b""
        assert backend.connections == []

    async def test_none_where_the_provider_can_not_tell(self, serve, backend, provider):
        provider.fault = Fault.RESET
        gateway = await serve()
        assert (await gateway.ask(asking())).status == 503
        assert backend.connections == []

    async def test_a_backend_that_refuses_answers_as_always(self, serve, backend):
        backend.answers.append(script(ok(b"not here", status="403 Forbidden")))
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(asking() + request("GET", "/open/next"))
            answer = await client.answer()
            assert (answer.status, answer.body) == (403, b"not here")
            assert await client.rest() == b""
        assert [one.target for one in backend.requests] == ["/api/x"]

    async def test_a_backend_that_does_not_answer_is_a_504(self, serve, backend):
        backend.default = script(HANG)
        gateway = await serve(timeout="200ms")
        assert (await gateway.ask(asking())).status == 504

    @pytest.mark.parametrize(
        "head",
        [
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
        ],
    )
    async def test_a_101_to_something_else_is_a_502(self, serve, backend, head):
        backend.default = script(head + b"raw", RAW)
        gateway = await serve()
        answer = await gateway.ask(asking())
        assert (answer.status, answer.code) == (502, "bad_gateway")
        await backend.connections[0].wait_ended()

    async def test_the_key_proves_that_it_went_end_to_end(self, serve, echo):
        gateway = await serve(backend=echo.url)
        async with await gateway.client() as client:
            await client.send(asking())
            answer = await client.head()
        digest = hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        assert answer.value("Sec-WebSocket-Accept") == base64.b64encode(digest).decode()


OTHERS = {
    "a list": ["Connection: Upgrade", "Upgrade: websocket, h2c"],
    "two fields": ["Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c"],
    "not nominated": ["Upgrade: websocket"],
    "an option of a longer name": ["Connection: Upgrade-Insecure", "Upgrade: websocket"],
}


@pytest.mark.parametrize("lines", OTHERS.values(), ids=OTHERS)
async def test_other_upgrades_are_not_offered_to_the_backend_and_nothing_behind_them_is_read(serve, backend, lines):
    gateway = await serve()
    async with await gateway.client() as client:
        await client.send(asking(lines=lines) + request("GET", "/open/next"))
        answer = await client.answer()
        assert (answer.status, answer.value("Connection")) == (200, "close")
        assert await client.rest() == b""
    assert {"upgrade", "http2-settings", "connection"}.isdisjoint(backend.requests[0].names)
    assert len(backend.requests) == 1


IGNORED = {
    "h2c": ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"],
    "TLS": ["Connection: Upgrade", "Upgrade: TLS/1.2"],
}


@pytest.mark.parametrize("lines", IGNORED.values(), ids=IGNORED)
async def test_an_upgrade_to_anything_else_costs_nothing(serve, backend, lines):
    """As Java's HttpClient and Apache's ask for, with each request (RFC 9110 §7.8)."""
    gateway = await serve()
    async with await gateway.client() as client:
        for number in range(300):
            await client.send(asking(f"/open/{number}", lines=lines) * 2)
            for _ in range(2):
                answer = await client.answer()
                assert (answer.status, answer.value("Connection")) == (200, None)
    assert len(backend.requests) == 600
    assert all({"upgrade", "http2-settings", "connection"}.isdisjoint(one.names) for one in backend.requests)


async def test_upgrade_on_http_1_0_is_ignored(serve, backend):
    gateway = await serve()
    answer = await gateway.ask(asking(version="1.0"))
    assert answer.status == 200
    assert "upgrade" not in backend.requests[0].names


async def test_a_post_that_asks_for_a_websocket_is_a_post(serve, backend):
    gateway = await serve()
    async with await gateway.client() as client:
        await client.send(request("POST", "/api/x", *ASK, token="good", body=b"abc"))
        assert (await client.answer()).status == 200
    assert backend.requests[0].body == b"abc"
    assert "upgrade" not in backend.requests[0].names
