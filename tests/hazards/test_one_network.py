"""One network takes all that it can get, in each way there is to hold a connection, and another one is served.

The gateway is a process of its own with few connections and no more descriptors than those need. The attackers'
address is 127.0.0.2, everybody else's 127.0.0.3.
"""

import asyncio
import resource
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio
import trustme
from support.attack_length import attack_s
from support.backend import Backend
from support.keycloak import free_ports
from support.lanes import FAST, GENERAL, lane_keys
from support.processes import ServedGateway, footprint
from support.running_gateway import ADMIN_TOKEN
from support.transcript import echo_marker
from support.wire import BrokenOffError, Client, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

ATTACKER, OTHER = "127.0.0.2", "127.0.0.3"
CONNECTIONS = 40
SHARE = 20
DESCRIPTORS = 2 * CONNECTIONS + 256
ATTACKERS = 3 * SHARE
REQUESTS = 50
ATTACK_S = attack_s(1.0)
HEAD = b"POST /open/x HTTP/1.1\r\nHost: a\r\n"

# What an attacker sends once it is connected; then a byte of what follows, again and again.
TOKEN_CLAIMS = {
    "silent": (b"", b""),
    "idle": (request("GET", "/open/x"), b""),
    "heads": (HEAD + b"X-A: ", b"a"),
    "bodies": (HEAD + b"Content-Length: 100000\r\n\r\n", b"a"),
}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend() -> AsyncIterator[Backend]:
    recording = Backend()
    recording.default = echo_marker
    await recording.start()
    yield recording
    await recording.stop()


@dataclass
class Stand:
    """A gateway and how to speak with it."""

    gateway: ServedGateway
    tls: ssl.SSLContext | None

    async def connect(self, source: str) -> Client:
        return await Client.of(self.gateway.address, self.tls, source=source)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[FAST, GENERAL, "tls"])
async def stand(request, backend, authority, tmp_path_factory) -> AsyncIterator[Stand]:
    folder = tmp_path_factory.mktemp("one-network")
    port, admin_port = free_ports(2)
    server = {
        "listen": f"127.0.0.1:{port}",
        "max_connections": CONNECTIONS,
        "max_connections_per_network": SHARE,
        "header_timeout": "10s",
    }
    context = None
    if request.param == "tls":
        certificate = authority.issue_cert("localhost")
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        (folder / "cert.pem").write_bytes(b"".join(one.bytes() for one in certificate.cert_chain_pems))
        server["tls"] = {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
        context = ssl.create_default_context()
        authority.configure_trust(context)
    else:
        server |= lane_keys(request.param)
    document = {
        "server": server,
        "admin": {"listen": f"127.0.0.1:{admin_port}", "token": ADMIN_TOKEN},
        "log": {"access": False},
        "routes": [{"name": "open", "match": {"path": "/open/**"}, "backend": backend.url, "auth": "none"}],
    }
    gateway = ServedGateway(str(request.param), folder, document)
    with descriptors():
        await gateway.start()
    began_s = time.monotonic()
    yield Stand(gateway, context)
    told = gateway.events("connections_full")
    await gateway.stop()
    assert f" of {ATTACKER}:" in told[0]["message"]
    assert len(told) <= 1 + (time.monotonic() - began_s) // 60  # it is said, and not for each connection
    assert gateway.exit_status == 0


@contextmanager
def descriptors() -> Iterator[None]:
    """What a process started meanwhile may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@asynccontextmanager
async def attacked(stand: Stand, first: bytes, then: bytes) -> AsyncIterator[None]:
    """So many attackers hold what they can; whoever loses a connection opens the next one."""

    async def hold() -> None:
        while True:
            try:
                async with await stand.connect(ATTACKER) as client:
                    client.writer.write(first)
                    while not client.writer.transport.is_closing():
                        client.writer.write(then)
                        await asyncio.sleep(0.1)
            except (OSError, TimeoutError):
                await asyncio.sleep(0.1)

    attackers = [asyncio.create_task(hold()) for _ in range(ATTACKERS)]
    try:
        await asyncio.sleep(0.5)
        yield
    finally:
        for task in attackers:
            task.cancel()
        await asyncio.gather(*attackers, return_exceptions=True)


async def probe(stand: Stand) -> int:
    timeout = aiohttp.ClientTimeout(total=5)
    async with (
        aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
        session.get(f"{stand.gateway.admin_url}/health/live") as answer,
    ):
        return answer.status


async def others_are_served(stand: Stand) -> None:
    failures = []
    for number in range(REQUESTS):
        try:
            async with await stand.connect(OTHER) as client:
                await client.send(request("GET", "/open/x", f"X-Marker: {number}"))
                assert (await client.answer()).body == str(number).encode()
        except (BrokenOffError, OSError, TimeoutError) as error:
            failures.append(error)
        await asyncio.sleep(ATTACK_S / REQUESTS)
    assert failures == []


@pytest.mark.parametrize("kind", TOKEN_CLAIMS)
async def test_the_others_are_served_and_the_probe_is_answered(stand, kind):
    async with attacked(stand, *TOKEN_CLAIMS[kind]):
        probing = asyncio.gather(*(probe(stand) for _ in range(10)))
        await others_are_served(stand)
        assert await probing == [200] * 10
        assert await probe(stand) == 200
        found = footprint(stand.gateway.pid)
        assert found is not None
        assert found.descriptors < 2 * CONNECTIONS + 64


async def test_handshakes_that_never_end(stand, backend):
    """What stays silent before TLS is there costs a descriptor, and counts."""
    if stand.tls is None:
        return  # without TLS they are the silent ones
    plain = Stand(stand.gateway, None)
    async with attacked(plain, b"\x16\x03\x01", b""):
        await others_are_served(stand)
        assert await probe(stand) == 200
        found = footprint(stand.gateway.pid)
        assert found is not None
        assert found.descriptors < 2 * CONNECTIONS + 64
