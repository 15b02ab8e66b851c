"""What becomes of each connection when the gateway stops: one that never asked, one in use, one that is idle."""

import asyncio
import socket
import ssl
from contextlib import ExitStack

import aiohttp
import pytest
import trustme
from support.backend import Wait, chunked, ok, script
from support.running_gateway import eventually
from support.wire import BrokenOffError, Client, request

from gateway.proxy.downstream.draining import QUIET_S, drain_connections

ASK = request("GET", "/open/x")
WAITING = 150  # more than are accepted in one turn


async def status_of(gateway, path):
    async with aiohttp.ClientSession() as session, session.get(gateway.admin_url + path) as response:
        return response.status


async def used(gateway):
    """A connection that had a response, which did not close it."""
    client = await gateway.client()
    await client.send(ASK)
    answer = await client.answer()
    assert (answer.status, answer.values("Connection")) == (200, [])
    return client


async def last_answer(client):
    answer = await client.answer()
    assert (answer.status, answer.values("Connection")) == (200, ["close"])
    assert await client.rest() == b""


async def is_refused(gateway):
    try:
        await gateway.get("/open/x")
    except (ConnectionError, BrokenOffError):
        return True
    return False


class TestFirstRequest:
    async def test_it_is_answered_on_a_connection_that_stood(self, serve, backend):
        gateway = await serve()
        client = await gateway.client()
        await asyncio.sleep(0.05)
        draining = asyncio.create_task(gateway.drain(10))
        await asyncio.sleep(QUIET_S + 0.3)
        assert await is_refused(gateway)
        await client.send(ASK)
        await last_answer(client)
        await asyncio.wait_for(draining, 2)

    async def test_it_is_waited_for_no_longer_than_header_timeout(self, serve, backend):
        gateway = await serve(server={"header_timeout": "500ms"})
        client = await gateway.client()
        draining = asyncio.create_task(gateway.drain(10))
        assert await client.rest() == b""
        await asyncio.wait_for(draining, 2)

    async def test_it_is_waited_for_no_longer_than_shutdown_timeout(self, serve, backend):
        gateway = await serve()
        client = await gateway.client()
        await asyncio.wait_for(gateway.drain(0.3), 2)
        assert await client.rest() == b""

    async def test_those_that_wait_to_be_accepted_are_answered(self, serve, backend):
        gateway = await serve()
        with ExitStack() as stack:
            late = [stack.enter_context(socket.create_connection(gateway.address)) for _ in range(WAITING)]
            draining = asyncio.create_task(gateway.drain(10))
            for one in late:
                one.setblocking(False)
            clients = [Client(*await asyncio.open_connection(sock=one)) for one in late]
            for client in clients:
                await client.send(ASK)
            for client in clients:
                await last_answer(client)
                await client.close()
            await draining

    async def test_those_that_wait_to_shake_hands_are_answered(self, serve, backend, tmp_path):
        ca = trustme.CA()
        certificate = ca.issue_cert("localhost")
        certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
        certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
        trusting = ssl.create_default_context()
        ca.configure_trust(trusting)
        gateway = await serve(
            server={"tls": {"certificate": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}}
        )
        with ExitStack() as stack:
            late = [stack.enter_context(socket.create_connection(gateway.address)) for _ in range(WAITING)]
            draining = asyncio.create_task(gateway.drain(20))
            for one in late:
                one.setblocking(False)
            for one in late:
                opened = await asyncio.open_connection(sock=one, ssl=trusting, server_hostname="localhost")
                client = Client(*opened)
                await client.send(ASK)
                await last_answer(client)
                await client.close()
            await draining


class TestKeptConnection:
    async def test_one_that_was_just_used_is_asked_once_more(self, serve, backend):
        gateway = await serve()
        client = await used(gateway)
        draining = asyncio.create_task(gateway.drain(10))
        await asyncio.sleep(QUIET_S / 2)
        await client.send(ASK)
        await last_answer(client)
        await asyncio.wait_for(draining, 2)

    async def test_one_whose_response_had_begun_is_asked_once_more(self, serve, backend):
        go_on = asyncio.Event()
        backend.answers.append(script(chunked(b"ab", end=b""), Wait(go_on), b"2\r\ncd\r\n0\r\n\r\n"))
        gateway = await serve()
        client = await gateway.client()
        await client.send(ASK)
        assert (await client.head()).values("Connection") == []
        draining = asyncio.create_task(gateway.drain(10))
        await asyncio.sleep(0.1)
        go_on.set()
        await client.read_exactly(len(b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"))
        await asyncio.sleep(0.1)
        await client.send(ASK)
        await last_answer(client)
        await asyncio.wait_for(draining, 2)

    async def test_one_that_is_quiet_is_ended_without_a_reset(self, serve, backend):
        gateway = await serve()
        loop = asyncio.get_running_loop()
        with socket.create_connection(gateway.address) as sock:
            sock.setblocking(False)
            await loop.sock_sendall(sock, ASK)
            assert (await loop.sock_recv(sock, 2**16)).startswith(b"HTTP/1.1 200 ")
            draining = asyncio.create_task(gateway.drain(10))
            assert await loop.sock_recv(sock, 1) == b""
            await loop.sock_sendall(sock, ASK)  # it crosses the end: nobody answers, and it meets no reset
            await asyncio.sleep(0.1)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        await asyncio.wait_for(draining, 2)
        assert len(backend.requests) == 1

    async def test_what_has_arrived_is_no_quiet(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            standing = Standing(ours.fileno())
            theirs.send(b"G")
            await drain_connections([standing], 0.2)
            assert not standing.has_left
            ours.recv(1)
            await drain_connections([standing], 0.2)
            assert standing.has_left


class Standing:
    """Always quiet, as far as it knows."""

    def __init__(self, descriptor):
        self.descriptor = descriptor
        self.has_left = False

    def is_quiet(self, _now_s, _quiet_s):
        return True

    def take_leave(self):
        self.has_left = True


class TestDrainDelay:
    async def test_it_goes_on_accepting_and_each_response_is_the_last(self, serve, backend):
        gateway = await serve(server={"drain_delay": "2500ms"})
        idle, active = await used(gateway), await used(gateway)
        await asyncio.sleep(QUIET_S)
        draining = asyncio.create_task(gateway.drain())
        await asyncio.sleep(0.01)
        assert await status_of(gateway, "/health/ready") == 503
        assert await status_of(gateway, "/health/live") == 200
        await active.send(ASK)
        await last_answer(active)
        for _ in range(3):
            answer = await gateway.get("/open/x")
            assert (answer.status, answer.values("Connection")) == (200, ["close"])
        await asyncio.sleep(1.5)  # longer than quiet
        await idle.send(ASK)
        await last_answer(idle)
        assert (await gateway.get("/open/x")).status == 200
        await asyncio.wait_for(draining, 5)
        assert await is_refused(gateway)

    async def test_shutdown_timeout_begins_after_it(self, serve, backend):
        go_on = asyncio.Event()
        backend.answers.append(script(Wait(go_on), ok(b"in time")))
        gateway = await serve(server={"drain_delay": "1s", "shutdown_timeout": "1s"})
        client = await gateway.client()
        await client.send(ASK)
        await backend.seen()
        draining = asyncio.create_task(gateway.drain())
        await asyncio.sleep(1.5)
        go_on.set()
        await last_answer(client)
        await draining

    async def test_a_reload_changes_it(self, serve, backend):
        gateway = await serve(server={"drain_delay": "1m"})
        assert await gateway.reload(gateway.text.replace('"1m"', '"100ms"'))
        await asyncio.wait_for(gateway.drain(), 5)

    async def test_one_who_will_not_wait_waits_for_none_of_it(self, serve, backend):
        gateway = await serve(server={"drain_delay": "1m"})
        draining = asyncio.create_task(gateway.drain())
        await asyncio.sleep(0.1)
        draining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await draining
        await asyncio.wait_for(gateway.drain(0), 5)

    async def test_a_unix_socket_stays_for_as_long(self, serve, backend, tmp_path):
        path = tmp_path / "gateway.sock"
        gateway = await serve(server={"listen": f"unix:{path}", "drain_delay": "500ms"})
        draining = asyncio.create_task(gateway.drain())
        await asyncio.sleep(0.1)
        assert (await gateway.get("/open/x")).values("Connection") == ["close"]
        await eventually(lambda: not path.exists())
        await draining
