"""Behind a balancer that speaks the PROXY protocol: the address it tells is the peer, and nobody else is served."""

import asyncio
import socket
import ssl

import pytest
import trustme
from support.wire import Client, request

FOUR = b"PROXY TCP4 203.0.113.7 127.0.0.1 49152 8080\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
SIX = SIGNATURE + b"\x21\x21\x00\x28" + bytes.fromhex("20010db8000000000000000000000001") * 2 + b"\xc0\x00\x1f\x90"
SIX += b"\x04\x00\x01x"
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"
KEYS = {"proxy_protocol": True, "trusted_proxies": ["127.0.0.0/24"]}
TOLD = {
    "version 1": (FOUR, "203.0.113.7"),
    "version 2": (SIX, "2001:db8::1"),
    "UNKNOWN": (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    "LOCAL": (LOCAL, "127.0.0.1"),
}


@pytest.mark.parametrize("piece", [None, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize(("header", "address"), TOLD.values(), ids=TOLD)
async def test_the_address_that_is_told_is_the_peer(serve, backend, header, address, piece):
    gateway = await serve(server=KEYS)
    async with await gateway.client() as client:
        await client.send(header + request("GET", "/open/a", "X-Forwarded-For: 198.51.100.9"), piece=piece)
        assert (await client.answer()).status == 200
        await client.send(request("GET", "/open/b"))
        assert (await client.answer()).status == 200
    told = [one.value("X-Forwarded-For") for one in backend.requests]
    # A client says nothing of itself; the balancer itself does, where it speaks on its own behalf.
    assert told == [address if address != "127.0.0.1" else "198.51.100.9, 127.0.0.1", address]
    clients = [line["client"] for line in gateway.lines.requests]
    assert clients == [address if address != "127.0.0.1" else "198.51.100.9", address]


NO_HEADER = {
    "a request": request("GET", "/open/a"),
    "a broken one": b"PROXY TCP4 203.0.113.777 127.0.0.1 1 1\r\n" + request("GET", "/open/a"),
    "two": FOUR + FOUR + request("GET", "/open/a"),
    "a line without end": b"PROXY UNKNOWN " + b"a" * 1000,
    "a long one": SIGNATURE + b"\x21\x11\xff\xff" + b"\0" * 70_000,
}


@pytest.mark.parametrize("wire", NO_HEADER.values(), ids=NO_HEADER)
async def test_without_a_sound_header_nothing_is_served(serve, backend, wire):
    gateway = await serve(server=KEYS)
    async with await gateway.client() as client:
        await client.send(wire)
        rest = await ended(client)
    assert rest == b"" or (wire.startswith(FOUR) and rest.startswith(b"HTTP/1.1 400 "))
    assert backend.requests == []
    assert gateway.lines.errors == []


async def ended(client: Client) -> bytes:
    """What came until the gateway closed; it may have reset what it did not read."""
    try:
        return await client.rest()
    except ConnectionError:
        return b""


async def test_from_others_nothing_is_believed_and_nothing_served(serve, backend):
    gateway = await serve(server=KEYS)
    for wire in (FOUR + request("GET", "/open/a"), request("GET", "/open/a")):
        async with await gateway.client(source="127.0.1.1") as client:
            await client.send(wire)
            assert await ended(client) == b""
    assert backend.requests == []


async def test_the_log_says_once_why_connections_are_closed(serve, caplog):
    gateway = await serve(server=KEYS)
    for source, wire in (("127.0.0.1", request("GET", "/open/a")), ("127.0.1.1", FOUR), ("127.0.0.1", b"")) * 3:
        async with await gateway.client(source=source) as client:
            if wire:
                await client.send(wire)
                assert await ended(client) == b""
    told = [one.getMessage() for one in caplog.records if getattr(one, "event", None) == "proxy_header_refused"]
    assert [line.partition("; ")[0] for line in told] == [
        "a connection from 127.0.0.1 was closed: it sent no sound header of the PROXY protocol",
        "a connection from 127.0.1.1 was closed: server.proxy_protocol serves server.trusted_proxies only",
    ]


async def test_a_look_whether_the_port_is_open_is_not_told(serve, caplog):
    gateway = await serve(server=KEYS)
    async with await gateway.client():
        pass
    async with await gateway.client() as client:
        await client.send(FOUR + request("GET", "/open/a"))
        assert (await client.answer()).status == 200
    assert "was closed" not in caplog.text


async def test_a_header_that_is_late_costs_the_connection(serve, backend):
    gateway = await serve(server={**KEYS, "header_timeout": "300ms"})
    for begun in (b"", b"PROXY TCP4 ", SIGNATURE):
        async with await gateway.client() as client:
            await client.send(begun)
            async with asyncio.timeout(3):
                assert await ended(client) == b""
    assert backend.requests == []


async def test_the_share_of_a_network_is_that_of_the_address_told(serve):
    gateway = await serve(server={**KEYS, "max_connections_per_network": 2})
    first, second, third = [await gateway.client() for _ in range(3)]
    other = await gateway.client()
    await other.send(b"PROXY TCP4 198.51.100.1 127.0.0.1 1 1\r\n" + request("GET", "/open/a"))
    assert (await other.answer()).status == 200
    for client in (first, second, third):
        await client.send(FOUR + request("GET", "/open/a"))
        assert (await client.answer()).status == 200
    assert await ended(first) == b""  # the oldest of its network
    for client in (second, third, other):
        await client.send(request("GET", "/open/b"))
        assert (await client.answer()).status == 200


async def test_it_comes_before_tls(serve, backend, tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for blob in issued.cert_chain_pems:
        blob.write_to_path(tmp_path / "cert.pem", append=True)
    tls = {"certificate": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    gateway = await serve(server={**KEYS, "tls": tls})
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    sock = socket.create_connection(gateway.address)
    sock.sendall(FOUR)
    sock.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=sock, ssl=trusting, server_hostname="localhost")
    async with Client(reader, writer) as client:
        await client.send(request("GET", "/open/a"))
        assert (await client.answer()).status == 200
    assert backend.requests[0].value("X-Forwarded-For") == "203.0.113.7"
    assert backend.requests[0].value("X-Forwarded-Proto") == "https"


async def test_it_is_spoken_over_a_unix_socket(serve, backend, tmp_path):
    listen = f"unix:{tmp_path}/s"
    gateway = await serve(server={"proxy_protocol": True, "trusted_proxies": ["unix"], "listen": listen})
    async with await gateway.client() as client:
        await client.send(FOUR + request("GET", "/open/a"))
        assert (await client.answer()).status == 200
    assert backend.requests[0].value("X-Forwarded-For") == "203.0.113.7"
