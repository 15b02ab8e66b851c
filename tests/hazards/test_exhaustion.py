"""Clients that take more than they give: bounded memory, linear work, and the others are served meanwhile.

The gateway is a process of its own, so that what is measured in `/proc` is its memory and its work and nobody else's.
The bar is Envoy's: nothing makes the gateway hold, or work, more than a hundred times what a client spent on it.
"""

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from support.backend import Backend, SeenRequest, Wait, ok, script
from support.keycloak import free_ports
from support.lanes import FAST, lane_keys, lanes
from support.processes import ServedGateway, footprint
from support.running_gateway import ADMIN_TOKEN, eventually
from support.scripted_provider import ScriptedProvider
from support.transcript import echo_marker
from support.wire import Answer, BrokenOffError, Client, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEADER_TIMEOUT_S = 2.0
IDLE_TIMEOUT_S = 3.0
DESCRIPTORS = 8_000
MIB = 2**20
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
LARGE_BYTES = 2**30
PIECE = b"x" * 2**16
# What a busy machine may add to any wait.
PATIENCE_S = 20.0


def answer(seen: SeenRequest):
    if seen.target == "/open/large":
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE_BYTES
        return script(head, *[PIECE] * (LARGE_BYTES // len(PIECE)))
    if seen.target == "/open/chunks":
        return script(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n" * 10_000] * 100, b"0\r\n\r\n"
        )
    return echo_marker(seen)


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    """The limit of this process, which its children inherit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if wanted < DESCRIPTORS:
        pytest.skip(f"this machine allows {wanted} file descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend() -> AsyncIterator[Backend]:
    recording = Backend()
    recording.default = answer
    await recording.start()
    yield recording
    await recording.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[ScriptedProvider]:
    scripted = ScriptedProvider()
    await scripted.start()
    scripted.answers["good"] = {"active": True, "sub": "alice", "exp": int(time.time()) + 3600}
    yield scripted
    await scripted.stop()


def document(backend: Backend, provider: ScriptedProvider, **server: object) -> dict[str, object]:
    port, admin_port = free_ports(2)
    return {
        "server": {
            "listen": f"127.0.0.1:{port}",
            "header_timeout": f"{HEADER_TIMEOUT_S:g}s",
            "idle_timeout": f"{IDLE_TIMEOUT_S:g}s",
            **server,
        },
        "admin": {"listen": f"127.0.0.1:{admin_port}", "token": ADMIN_TOKEN},
        "log": {"level": "warning", "access": False},
        "providers": {
            "p": {
                "introspection_endpoint": provider.introspection_endpoint,
                "client_id": "gw",
                "client_secret": "secret-of-the-client",
            }
        },
        "routes": [
            {"name": "open", "match": {"path": "/open/**"}, "backend": backend.url, "auth": "none"},
            {"name": "api", "match": {"path": "/api/**"}, "backend": backend.url},
            {"name": "deep", "match": {"path": "/{a}/{b}/{c}/{d}/e"}, "backend": backend.url, "auth": "none"},
        ],
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(backend, provider, tmp_path_factory, lane) -> AsyncIterator[ServedGateway]:
    settings = document(backend, provider, **lane_keys(lane))
    served = ServedGateway(lane, tmp_path_factory.mktemp("exhaustion"), settings)
    await served.start()
    for _ in range(50):
        await one_more(served)  # what it takes once, for good, has been taken
    yield served
    await served.stop()
    assert served.exit_status == 0
    assert [line for line in served.events("log") if line["level"] == "error"] == []


async def ask(gateway: ServedGateway, wire: bytes) -> Answer:
    async with await Client.of(gateway.address) as client:
        await client.send(wire)
        return await client.answer()


async def one_more(gateway: ServedGateway, marker: str = "me") -> None:
    """Somebody else's request, with a token."""
    got = await ask(gateway, request("GET", "/api/x", f"X-Marker: {marker}", token="good"))
    assert (got.status, got.body) == (200, marker.encode())


async def others_are_served(gateway: ServedGateway, count: int = 20) -> None:
    started = time.monotonic()
    for number in range(count):
        await one_more(gateway, f"other-{number}")
    assert time.monotonic() - started < PATIENCE_S


def memory_bytes(gateway: ServedGateway) -> int:
    found = footprint(gateway.pid)
    assert found is not None
    return found.memory_bytes


def cpu_s(gateway: ServedGateway) -> float:
    fields = Path(f"/proc/{gateway.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


async def peak_while(gateway: ServedGateway, work: Callable[[], object]) -> int:
    """The most memory it had while `work` went on, above what it had before; bytes."""
    before = most = memory_bytes(gateway)
    task = asyncio.ensure_future(work())  # type: ignore[arg-type]
    while not task.done():
        await asyncio.wait({task}, timeout=0.05)
        most = max(most, memory_bytes(gateway))
    await task
    return most - before


async def ended(client: Client) -> bytes:
    """What still came until the gateway ended the connection."""
    return await client.rest()


class TestSlowClients:
    @lanes(FAST)
    @pytest.mark.parametrize("is_second", [False, True])
    @pytest.mark.parametrize(
        "begun", [b"GET /", b"GET /open/x HTTP/1.1\r\n", b"GET /open/x HTTP/1.1\r\nHost: a\r\nX-A: "]
    )
    async def test_a_head_that_drips_is_ended_at_header_timeout(self, gateway, backend, begun, is_second):
        async with await Client.of(gateway.address) as client:
            if is_second:
                await client.send(request("GET", "/open/x"))
                await client.answer()
            before, started = len(backend.requests), time.monotonic()
            client.writer.write(begun)
            dripping = asyncio.create_task(self.drip(client))
            got = await ended(client)
            took_s = time.monotonic() - started
            dripping.cancel()
        assert HEADER_TIMEOUT_S * 0.9 < took_s < HEADER_TIMEOUT_S + PATIENCE_S / 4
        assert got.startswith(b"HTTP/1.1 408 ")
        assert len(backend.requests) == before
        await one_more(gateway)

    async def drip(self, client: Client) -> None:
        try:
            while True:
                client.writer.write(b"a")
                await asyncio.sleep(0.1)
        except OSError:
            return

    async def test_a_silent_connection_ends_at_header_timeout_and_an_idle_one_at_idle_timeout(self, gateway):
        async with await Client.of(gateway.address) as silent, await Client.of(gateway.address) as idle:
            await idle.send(request("GET", "/open/x"))
            await idle.answer()
            started = time.monotonic()
            assert await ended(silent) == b""
            assert HEADER_TIMEOUT_S * 0.8 < time.monotonic() - started < HEADER_TIMEOUT_S + PATIENCE_S / 4
            assert await ended(idle) == b""
        assert IDLE_TIMEOUT_S * 0.8 < time.monotonic() - started < IDLE_TIMEOUT_S + PATIENCE_S / 4

    @lanes(FAST)
    async def test_a_body_that_stops_coming_is_ended_and_its_backend_let_go(self, gateway, backend):
        async with await Client.of(gateway.address) as client:
            await client.send(request("POST", "/open/x", "Content-Length: 100") + b"begun")
            assert (await client.answer()).status == 408
            assert await ended(client) == b""
        await eventually(lambda: backend.requests[-1].connection.ended is not None)
        await one_more(gateway)

    @lanes(FAST)
    async def test_a_body_that_drips_takes_no_one_elses_time(self, gateway, backend):
        async with AsyncExitStack() as stack:
            slow = [await stack.enter_async_context(await Client.of(gateway.address)) for _ in range(50)]
            for client in slow:
                await client.send(request("POST", "/open/slow", "X-Marker: slow", "Content-Length: 8"))
            for _ in range(8):
                for client in slow:
                    client.writer.write(b"a")
                await others_are_served(gateway, 3)
            for client in slow:
                assert (await client.answer()).body == b"slow"

    async def test_a_reader_that_takes_nothing_more_is_cut_and_its_backend_let_go(self, gateway, backend):
        async with await Client.of(gateway.address, receive_buffer=4096) as client:
            await client.send(request("GET", "/open/large"))
            await client.head()
            large = next(one for one in reversed(backend.requests) if one.target == "/open/large")
            client.writer.transport.pause_reading()
            started = time.monotonic()
            await others_are_served(gateway)
            await eventually(lambda: large.connection.ended is not None)
            assert time.monotonic() - started < 3 * IDLE_TIMEOUT_S + PATIENCE_S
            client.writer.transport.resume_reading()
            with pytest.raises((BrokenOffError, OSError, asyncio.IncompleteReadError)):
                await client.read_exactly(LARGE_BYTES)

    async def test_a_reader_of_many_small_answers_that_takes_none_is_cut_too(self, gateway):
        """Refusals cost nothing to ask for, and pile up all the same."""
        before = footprint(gateway.pid)
        async with await Client.of(gateway.address, receive_buffer=4096) as client:
            client.writer.transport.pause_reading()
            sent = await self.ask_without_end(client, request("GET", "/nowhere"))
            assert sent < 64 * MIB
            assert memory_bytes(gateway) - before.memory_bytes < 8 * MIB
            await others_are_served(gateway)
            within_s = 3 * IDLE_TIMEOUT_S + PATIENCE_S
            await eventually(lambda: footprint(gateway.pid).descriptors <= before.descriptors, within_s)

    async def ask_without_end(self, client: Client, wire: bytes) -> int:
        sent = 0
        try:
            while sent < 64 * MIB:
                client.writer.write(wire * 100)
                sent += len(wire) * 100
                async with asyncio.timeout(1):
                    await client.writer.drain()
        except (TimeoutError, OSError):
            pass
        return sent


class TestManyConnections:
    IDLE, SLOWLORIS = 2_000, 200

    async def test_idle_ones_slowloris_and_a_slow_reader_leave_memory_flat_and_others_served(
        self, backend, provider, tmp_path
    ):
        # Nobody is timed out here: all of them stay as long as it lasts.
        gateway = ServedGateway("many", tmp_path, document(backend, provider, header_timeout="60s", idle_timeout="60s"))
        await gateway.start()
        try:
            for _ in range(50):
                await one_more(gateway)
            empty_bytes = memory_bytes(gateway)
            async with AsyncExitStack() as stack:
                idle = await self.connect(stack, gateway, self.IDLE)
                slow = await self.connect(stack, gateway, self.SLOWLORIS)
                reader = await stack.enter_async_context(await Client.of(gateway.address, receive_buffer=4096))
                await reader.send(request("GET", "/open/large"))
                await reader.head()
                for client in slow:
                    client.writer.write(b"GET /open/x HTTP/1.1\r\nHost: a\r\nX-A: ")
                await others_are_served(gateway)
                full_bytes = memory_bytes(gateway)
                for _ in range(20):
                    for client in slow:
                        client.writer.write(b"aaaa")
                    await reader.read(4096)
                    await others_are_served(gateway, 5)
                assert memory_bytes(gateway) - full_bytes < 8 * MIB
                # What one connection costs: its buffers and its parser, and nothing of a 1 GiB answer.
                assert (full_bytes - empty_bytes) / (self.IDLE + self.SLOWLORIS) < 64 * 2**10
                # They are no dead weight: each is still a client.
                for client in idle[:: self.IDLE // 20]:
                    await client.send(request("GET", "/open/x", "X-Marker: woken"))
                    assert (await client.answer()).body == b"woken"
        finally:
            await gateway.stop()
        assert gateway.exit_status == 0

    async def connect(self, stack: AsyncExitStack, gateway: ServedGateway, count: int) -> list[Client]:
        return [
            await stack.enter_async_context(await Client.of(gateway.address, receive_buffer=4096)) for _ in range(count)
        ]

    async def test_beyond_max_connections_the_oldest_that_are_idle_go(self, backend, provider, tmp_path):
        few = document(backend, provider, max_connections=50, max_connections_per_network=50, idle_timeout="60s")
        gateway = ServedGateway("few", tmp_path, few)
        await gateway.start()
        try:
            async with AsyncExitStack() as stack:
                held = await self.connect(stack, gateway, 50)
                for client in held:
                    await client.send(request("GET", "/open/x", "X-Marker: held"))
                    assert (await client.answer()).body == b"held"
                for _ in range(200):
                    await one_more(gateway)
                assert await ended(held[0]) == b""
                again = await self.connect(stack, gateway, 50)
                await again[-1].send(request("GET", "/open/x", "X-Marker: still"))
                assert (await again[-1].answer()).body == b"still"
                await eventually_served(gateway)
        finally:
            await gateway.stop()

    async def test_more_connections_than_descriptors_end_nothing(self, backend, provider, tmp_path):
        """The process may open fewer files than it is told to serve connections: the surplus waits its turn."""
        gateway = ServedGateway("narrow", tmp_path, document(backend, provider, max_connections=5_000))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, hard))  # as most machines have it
        try:
            await gateway.start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        try:
            raised, _ = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
            assert raised == hard or raised > 2 * 5_000
            resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (80, hard))
            async with AsyncExitStack() as stack:
                await self.connect(stack, gateway, 120)
                await asyncio.sleep(0.2)
            await eventually_served(gateway)
        finally:
            await gateway.stop()
        assert gateway.exit_status == 0


async def eventually_served(gateway: ServedGateway) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await one_more(gateway)
        except (BrokenOffError, OSError, TimeoutError, AssertionError):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


class TestLargeHeads:
    """Each of them is refused, and costs no more memory than a few heads and no more work than reading it."""

    @pytest.mark.parametrize(
        ("name", "wire", "status"),
        [
            ("thousands of headers", b"GET /open/x HTTP/1.1\r\nHost: a\r\n" + b"X-A: b\r\n" * 200_000, 431),
            ("empty headers", b"GET /open/x HTTP/1.1\r\nHost: a\r\n" + b"X:\r\n" * 400_000, 431),
            ("one long header", b"GET /open/x HTTP/1.1\r\nHost: a\r\nX-A: " + b"b" * 2 * MIB, 431),
            ("one long name", b"GET /open/x HTTP/1.1\r\nHost: a\r\n" + b"X" * 2 * MIB, 431),
            ("a long target", b"GET /" + b"a" * 2 * MIB, 414),
            ("a long query", b"GET /?" + b"%41&" * (MIB // 2), 414),
            ("a long method", b"G" * 2 * MIB, None),
            ("blank lines", b"\r\n" * MIB, 400),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    async def test_a_head_without_end_is_refused_at_its_limit(self, gateway, backend, name, wire, status):
        before = len(backend.requests)

        async def attack() -> None:
            async with AsyncExitStack() as stack:
                for _ in range(20):
                    client = await stack.enter_async_context(await Client.of(gateway.address))
                    sending = asyncio.create_task(self.send_all(client, wire))
                    got = await ended(client)
                    assert int(got[9:12]) in ({status} if status else {400, 414}), got[:100]
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)

        spent_s = cpu_s(gateway)
        assert await peak_while(gateway, attack) < 8 * MIB
        assert cpu_s(gateway) - spent_s < 5
        assert len(backend.requests) == before
        await one_more(gateway)

    async def send_all(self, client: Client, wire: bytes) -> None:
        try:
            for start in range(0, len(wire), 2**16):
                client.writer.write(wire[start : start + 2**16])
                await client.writer.drain()
        except OSError:
            return


HEADS = {
    "percents": lambda size: request("GET", "/open/" + "%7e%2d" * (size // 6)),
    "segments": lambda size: request("GET", "/a" * (size // 2)),
    "dots": lambda size: request("GET", "/open/" + "/.a;" * (size // 4)),
    "query": lambda size: request("GET", "/open/x?" + "a&" * (size // 2)),
    "forwarded": lambda size: request("GET", "/open/x", "X-Forwarded-For: " + "1," * (size // 2)),
    "connection": lambda size: request("GET", "/open/x", "Connection: " + "a," * (size // 2)),
    "cookie": lambda size: request("GET", "/open/x", "Cookie: " + "a=b;" * (size // 4)),
    "token": lambda size: request("GET", "/api/x", token="a." * (size // 2)),
    "jwt": lambda size: request("GET", "/api/x", token="a." + "e30" * (size // 3) + ".b"),
    "no token": lambda size: request("GET", "/api/x", "Authorization: Bearer " + "a=" * (size // 2)),
    "blanks": lambda size: request("GET", "/api/x", "Authorization: Bearer" + " " * size + "x"),
    "origins": lambda size: request(
        "OPTIONS", "/open/x", "Origin: " + "a" * size, "Access-Control-Request-Method: GET"
    ),
    "host": lambda size: request("GET", "/open/x", host="a." * (size // 2)),
    "type": lambda size: request("POST", "/open/x", "Content-Type: " + "a/b;" * (size // 4), body=b""),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def short_s(gateway: ServedGateway) -> float:
    """Processor time of the gateway for an ordinary request."""
    return max(await TestWork().cost_s(gateway, request("GET", "/open/x"), 200), 5e-4)


class TestWork:
    @pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
    async def test_the_longest_head_costs_no_more_than_its_length(self, gateway, head, short_s):
        """It is some five hundred times as long as a short one, and what is quadratic costs that much more."""
        assert await self.cost_s(gateway, head(30_000), 20) < 30 * short_s

    async def cost_s(self, gateway: ServedGateway, wire: bytes, count: int) -> float:
        """Processor time of the gateway for one such request."""
        before = cpu_s(gateway)
        for _ in range(count):
            await ask(gateway, wire)
        return (cpu_s(gateway) - before) / count

    @lanes(FAST)
    async def test_a_million_chunks_of_one_byte_pass_in_bounded_memory(self, gateway, backend):
        before = len(backend.requests)

        async def upload() -> None:
            async with await Client.of(gateway.address) as client:
                await client.send(request("POST", "/open/x", "X-Marker: up", "Transfer-Encoding: chunked"))
                for _ in range(100):
                    client.writer.write(b"1\r\nx\r\n" * 10_000)
                    await client.writer.drain()
                client.writer.write(b"0\r\n\r\n")
                async with asyncio.timeout(60):
                    assert (await client.answer()).body == b"up"

        spent_s = cpu_s(gateway)
        working = asyncio.create_task(peak_while(gateway, upload))
        while not working.done():
            await others_are_served(gateway, 3)
        assert await working < 32 * MIB
        assert cpu_s(gateway) - spent_s < 60
        up = next(one for one in backend.requests[before:] if one.method == "POST")
        assert len(up.body) == 1_000_000

    async def test_so_do_a_million_chunks_of_an_answer(self, gateway):
        async def download() -> None:
            async with await Client.of(gateway.address) as client:
                await client.send(request("GET", "/open/chunks"))
                async with asyncio.timeout(60):
                    assert len((await client.answer()).body) == 1_000_000

        working = asyncio.create_task(peak_while(gateway, download))
        while not working.done():
            await others_are_served(gateway, 3)
        assert await working < 32 * MIB

    async def test_deep_pipelining_is_answered_in_order_and_not_read_ahead(self, gateway, backend):
        depth = 1_000
        wire = b"".join(request("GET", "/open/x", f"X-Marker: {number}") for number in range(depth))

        async def pipeline() -> None:
            async with await Client.of(gateway.address) as client:
                sending = asyncio.create_task(client.send(wire))
                for number in range(depth):
                    assert (await client.answer()).body == str(number).encode()
                await sending

        working = asyncio.create_task(peak_while(gateway, pipeline))
        while not working.done():
            await others_are_served(gateway, 3)
        assert await working < 16 * MIB

    @pytest.mark.parametrize(
        ("begun", "wire"),
        [
            (b"", request("GET", "/open/large")),
            (b"GET /open/y HTTP/1.1\r\nHost: a\r\n", b"X-A: " + b"b" * 1000 + b"\r\n"),
        ],
        ids=["requests", "a head"],
    )
    async def test_what_is_sent_ahead_of_a_slow_answer_waits_unread(self, gateway, backend, begun, wire):
        """It stays in the client's socket."""
        go_on = asyncio.Event()
        backend.answers.append(script(Wait(go_on), ok(b"late")))
        async with await Client.of(gateway.address) as client:
            await client.send(request("GET", "/open/x"))
            await eventually(lambda: not backend.answers)
            before = memory_bytes(gateway)
            client.writer.write(begun)
            sent = await TestSlowClients().ask_without_end(client, wire)
            assert sent < 64 * MIB
            assert memory_bytes(gateway) - before < 8 * MIB
            await others_are_served(gateway, 3)
            go_on.set()
            assert (await client.answer()).body == b"late"

    async def test_junk_tokens_cost_no_more_than_good_ones(self, gateway, provider):
        before = memory_bytes(gateway)
        for number in range(400):
            got = await ask(gateway, request("GET", "/api/x", token=f"junk-{number}-" + "a" * 1_000))
            assert got.status in {401, 429}
        assert memory_bytes(gateway) - before < 16 * MIB
        await one_more(gateway)

    @lanes(FAST)
    async def test_connections_that_come_and_go_leave_nothing(self, gateway):
        async def storm(count: int) -> None:
            for number in range(count):
                async with await Client.of(gateway.address) as client:
                    if number % 3:
                        client.writer.write(b"GET /open/x HT" if number % 2 else request("GET", "/open/x"))
                        client.reset()

        await storm(300)
        before = footprint(gateway.pid)
        await storm(1_000)
        await eventually(lambda: footprint(gateway.pid).descriptors <= before.descriptors + 20)
        assert footprint(gateway.pid).memory_bytes - before.memory_bytes < 8 * MIB
        await one_more(gateway)
