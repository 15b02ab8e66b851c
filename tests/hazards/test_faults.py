"""Faults to survive: whatever happens between the gateway and its neighbours, no answer reaches the wrong
caller, no unauthenticated request reaches a backend, and all is well again when the fault is over.

The long form of it is the soak, `tests/benchmarks/soak.py`; these are its parts, one fault at a time.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.callers import Caller, Outcome
from support.fault_proxy import CLEAR, GARBLED, HALF_CLOSING, RESETTING, SILENT, FaultProxy, Weather
from support.lanes import FAST, GENERAL, lane_keys, lanes
from support.processes import ServedGateway
from support.redis_server import RedisServer, free_port, running
from support.running_gateway import ADMIN_TOKEN, CLIENT_SECRET, RunningGateway, configuration, eventually
from support.scripted_provider import ScriptedProvider
from support.tokens import Tokens
from support.wire import BrokenOffError, Client, request
from support.witness import USER_HEADER, Witness

from gateway.proxy.downstream.client_connection import ClientConnection
from gateway.proxy.forwarding import Forwarder

WEATHERS = {
    "latency": Weather(latency_s=0.2),
    "bandwidth": Weather(bytes_per_s=2_000),
    "slicing": Weather(slice_bytes=1),
    "silence": SILENT,
    "reset": RESETTING,
    "half-close": HALF_CLOSING,
    "garbage": GARBLED,
}
# What a caller may get while an edge is broken; None: no whole answer.
EXCUSED = {"redis": set(), "provider": {503}, "backend": {502, 504, None}}
# What the lanes do by themselves is to talk to clients and backends.
EDGES = [pytest.param(edge, marks=() if edge == "backend" else lanes(FAST)) for edge in EXCUSED]
MIXED = {"hit": 4, "miss": 4, "refusal": 3, "upload": 1, "download": 1, "socket": 1, "disconnect": 1}
PATIENCE = "1s"  # of the gateway with provider and backend
FAULT_S = 0.7


@dataclass
class Callers:
    """Closed loops against `addresses`, and what they found."""

    addresses: list[tuple[str, int]]
    tokens: Tokens = field(default_factory=lambda: Tokens("tkn7f3a"))
    weights: dict[str, int] = field(default_factory=lambda: dict(MIXED))
    outcomes: list[Outcome] = field(default_factory=list)
    _singles: int = 0

    @asynccontextmanager
    async def calling(self, count: int = 6, think_s: float = 0.0) -> AsyncIterator[None]:
        stopping = asyncio.Event()
        callers = [self.caller(f"c{number}", number, think_s) for number in range(count)]
        tasks = [asyncio.create_task(caller.run(stopping)) for caller in callers]
        try:
            yield
        finally:
            stopping.set()
            await asyncio.gather(*tasks)

    def caller(self, name: str, seed: int = 0, think_s: float = 0.0) -> Caller:
        return Caller(
            name, self.addresses, self.tokens, self.outcomes.append, random.Random(seed), self.weights, think_s
        )

    async def once(self, kind: str) -> Outcome:
        """One request on a connection of its own."""
        self._singles += 1
        caller = self.caller(f"single{self._singles}", self._singles)
        try:
            return await caller.once(kind)
        finally:
            await caller.leave()

    @property
    def wrong(self) -> list[str]:
        return [one.wrong for one in self.outcomes if one.wrong is not None]

    @property
    def failed(self) -> list[Outcome]:
        return [one for one in self.outcomes if one.failure is not None]

    async def progress(self, count: int = 30) -> None:
        """Once `count` more requests have ended, none of which failed."""
        async with asyncio.timeout(30):
            while True:
                start = len(self.outcomes)
                await eventually(lambda start=start: len(self.outcomes) >= start + count, within_s=30)
                if not any(one.failure for one in self.outcomes[start:]):
                    return


@dataclass
class Scene:
    """A gateway whose three neighbours are each behind a fault proxy."""

    gateway: RunningGateway
    witness: Witness
    redis: RedisServer
    roads: dict[str, FaultProxy]
    callers: Callers

    async def shares_again(self) -> None:
        """What the provider says is written to Redis: that is in use again, within seconds of its return."""
        async with asyncio.timeout(10):
            while True:
                before = set(self.redis.names())
                await self.callers.once("miss")
                if set(self.redis.names()) - before:
                    return
                await asyncio.sleep(0.1)

    def is_sound(self) -> None:
        assert self.callers.wrong == []
        assert self.witness.unvouched == []
        assert self.witness.repeated == []


def document(ports: dict[str, int], **server: Any) -> dict[str, Any]:
    route = {
        "backend": f"http://127.0.0.1:{ports['backend']}",
        "identity": {"headers": {USER_HEADER: "sub"}},
        "timeout": PATIENCE,
        "read_timeout": PATIENCE,
    }
    return {
        "server": {"listen": "127.0.0.1:0", **server},
        "providers": {
            "p": {
                "introspection_endpoint": f"http://127.0.0.1:{ports['provider']}/introspect",
                "client_id": "gw",
                "client_secret": CLIENT_SECRET,
                "timeout": PATIENCE,
                "breaker": {"interval": PATIENCE},
            }
        },
        "cache": {"redis": f"redis://127.0.0.1:{ports['redis']}/0", "secret": "secret-of-the-fleet"},
        "routes": [
            {"name": "api", "match": {"path": "/api/**"}, **route},
            {"name": "strict", "match": {"path": "/strict/**"}, "auth": {"scopes": ["write"]}, **route},
        ],
    }


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    with running(server):
        yield server


@pytest.fixture
async def neighbours(redis: RedisServer) -> AsyncIterator[tuple[Witness, ScriptedProvider, dict[str, FaultProxy]]]:
    witness, provider = Witness(), ScriptedProvider()
    await witness.start()
    await provider.start()
    ports = {"redis": redis.port, "provider": int(provider.url.rpartition(":")[2]), "backend": witness.port}
    roads = {name: FaultProxy(("127.0.0.1", port)) for name, port in ports.items()}
    for road in roads.values():
        await road.start()
    yield witness, provider, roads
    for road in roads.values():
        await road.stop()
    await provider.stop()
    await witness.stop()


@pytest.fixture
async def scene(neighbours, redis: RedisServer, lane: str) -> AsyncIterator[Scene]:
    witness, provider, roads = neighbours
    ports = {name: road.port for name, road in roads.items()}
    gateway = RunningGateway(configuration(**document(ports, **lane_keys(lane))))
    await gateway.start()
    callers = Callers([gateway.address])
    provider.default = callers.tokens.answer
    yield Scene(gateway, witness, redis, roads, callers)
    await gateway.stop()
    assert gateway.lines.errors == []
    assert callers.tokens.run.encode() not in b"".join(gateway.lines.raw)


GENTLE = ("latency", "bandwidth", "slicing")
PLACES = [(weather, "both") for weather in GENTLE]
PLACES += [(weather, way) for weather in WEATHERS if weather not in GENTLE for way in ("to_server", "to_client")]


@pytest.mark.parametrize(("weather", "way"), PLACES)
@pytest.mark.parametrize("edge", EDGES)
async def test_a_fault_at_one_edge_misleads_nobody_and_passes(scene: Scene, edge: str, weather: str, way: str) -> None:
    road, callers = scene.roads[edge], scene.callers
    ways = [road.to_server, road.to_client] if way == "both" else [getattr(road, way)]
    async with callers.calling():
        await callers.progress(10)
        assert callers.failed == []
        for each in ways:
            each.become(WEATHERS[weather])
        await asyncio.sleep(FAULT_S)
        road.become(CLEAR)
        await callers.progress()
    scene.is_sound()
    assert {one.status for one in callers.failed} - EXCUSED[edge] <= ({200} if weather == "garbage" else set())
    for kind in ("hit", "miss", "refusal", "upload", "download", "socket"):
        outcome = await callers.once(kind)
        assert (outcome.failure, outcome.wrong) == (None, None)
    await scene.shares_again()


@pytest.mark.parametrize("edge", EDGES)
async def test_a_neighbour_that_is_gone_and_back_misleads_nobody(scene: Scene, edge: str) -> None:
    callers = scene.callers
    async with callers.calling():
        await callers.progress(10)
        await scene.roads[edge].stop()
        await asyncio.sleep(FAULT_S)
        await scene.roads[edge].start()
        await callers.progress()
    scene.is_sound()
    await scene.shares_again()
    assert {one.status for one in callers.failed} <= EXCUSED[edge]
    assert (len(callers.failed) > 0) == (edge != "redis")


@pytest.mark.parametrize(("edge", "statuses"), [("provider", [503, 503, 503]), ("backend", [504, 502, 502])])
async def test_a_fault_is_answered_with_what_it_is(scene: Scene, edge: str, statuses: list[int]) -> None:
    """Also: what the tests above switch on is no calm weather."""
    callers = scene.callers
    for weather, status in zip((SILENT, RESETTING, GARBLED), statuses, strict=True):
        scene.roads[edge].to_client.become(weather)
        outcome = await callers.once("miss")
        assert outcome.status == status
        assert outcome.ended_s - outcome.began_s < 6
        scene.roads[edge].become(CLEAR)
    scene.is_sound()


# Reloads and lost workers: `gateway serve` with two workers.


@pytest.fixture
async def served(neighbours, tmp_path: Path) -> AsyncIterator[tuple[ServedGateway, Witness, Callers]]:
    witness, provider, roads = neighbours
    settings = document({name: road.port for name, road in roads.items()}, listen=f"127.0.0.1:{free_port()}", workers=2)
    settings["admin"] = {"listen": f"127.0.0.1:{free_port()}", "token": ADMIN_TOKEN}
    settings["providers"]["p"]["timeout"] = "5s"
    for route in settings["routes"]:
        route["timeout"] = route["read_timeout"] = "10s"
    gateway = ServedGateway("one", tmp_path, settings)
    callers = Callers([gateway.address])
    provider.default = callers.tokens.answer
    await gateway.start()
    await gateway.until_workers(2)
    try:
        yield gateway, witness, callers
    finally:
        await gateway.stop()
    assert gateway.exit_status == 0
    assert callers.tokens.run.encode() not in gateway.output.read_bytes()
    assert callers.wrong == []
    assert (witness.unvouched, witness.repeated) == ([], [])


def _edits(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The same file; another route; other parts (provider, cache) that are built anew; and the first again."""
    api, strict = settings["routes"]
    provider = settings["providers"]["p"]
    return [
        settings,
        {**settings, "routes": [api, strict, {**api, "name": "more", "match": {"path": "/more/**"}}]},
        {**settings, "providers": {"p": {**provider, "timeout": "4s"}}},
        {**settings, "cache": {**settings["cache"], "ttl": "30s"}},
        {**settings, "server": {**settings["server"], "max_body": "5MiB"}},
        settings,
    ]


async def test_reloads_in_the_middle_of_load_fail_no_request(served) -> None:
    gateway, _, callers = served
    async with callers.calling(8):
        await callers.progress(20)
        for number, edit in enumerate(_edits(gateway.document), start=1):
            gateway.reload(edit)
            await eventually(lambda number=number: len(gateway.events("reloaded")) >= number, within_s=30)
            await callers.progress(20)
    assert callers.failed == []
    assert gateway.events("reload_refused") == gateway.events("worker_ended") == []


async def test_a_refused_reload_in_the_middle_of_load_fails_no_request(served) -> None:
    gateway, _, callers = served
    async with callers.calling(8):
        await callers.progress(20)
        gateway.reload({**gateway.document, "routes": [{"name": "broken"}]})
        await eventually(lambda: len(gateway.events("reload_refused")) >= 1, within_s=30)
        await callers.progress(20)
    assert callers.failed == []


async def test_a_killed_worker_is_replaced_and_the_others_callers_never_notice(served) -> None:
    gateway, _, callers = served
    doomed, spared = gateway.workers()
    clients: dict[int, list[Client]] = {doomed: [], spared: []}
    while min(len(each) for each in clients.values()) < 4:
        client = await Client.of(gateway.address)
        await _is_served(client, callers)  # so that it has been accepted
        clients[_worker_of(client, gateway)].append(client)
    os.kill(doomed, signal.SIGKILL)
    began = time.monotonic()
    while len(gateway.workers()) < 2 or time.monotonic() - began < 2:
        for client in clients[spared]:
            await _is_served(client, callers)
        async with await Client.of(gateway.address) as late:  # those who come now wait, and are served
            await _is_served(late, callers)
    for client in clients[doomed]:
        with pytest.raises((BrokenOffError, OSError)):
            await _is_served(client, callers)
    await gateway.until_workers(2, without=doomed)
    async with callers.calling(4):
        await callers.progress()
    assert callers.failed == []
    for client in (*clients[doomed], *clients[spared]):
        await client.close()


async def _is_served(client: Client, callers: Callers) -> None:
    user = callers.tokens.names()[0]
    await client.send(request("GET", f"/api/{user}/x-1/echo", token=callers.tokens.fresh(user)))
    assert (await client.answer()).status == 200


def _worker_of(client: Client, gateway: ServedGateway) -> int:
    """Which worker holds the other end of a connection, by the kernel's own tables."""
    port = client.writer.get_extra_info("sockname")[1]
    here = f"0100007F:{gateway.address[1]:04X} 0100007F:{port:04X}"
    table = Path("/proc/net/tcp").read_text().splitlines()
    [inode] = [fields[9] for line in table if " ".join((fields := line.split())[1:3]) == here]
    for pid in gateway.workers():
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            if descriptor.readlink().name == f"socket:[{inode}]":
                return pid
    raise AssertionError("no worker holds it")


@pytest.mark.interpreted
async def test_a_client_that_leaves_as_its_answer_comes_is_no_failure_of_the_gateway(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the end of the connection and the news of it; nothing is logged as an error, which `scene` checks."""
    write = ClientConnection.write

    def left(client: ClientConnection, data: bytes) -> None:
        client.cut()
        write(client, data)

    with monkeypatch.context() as patched:
        patched.setattr(ClientConnection, "write", left)
        for kind in ("hit", "refusal", "download", "hit"):
            assert (await scene.callers.once(kind)).status is None
    assert (await scene.callers.once("hit")).status == 200
    await eventually(lambda: len(scene.gateway.lines.requests) == 5)  # each has come to its end


@pytest.mark.lanes(GENERAL)
async def test_nor_is_one_whose_leaving_is_an_error_first(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp raises to whoever reads or writes what the client has left."""

    async def gone(*_: object, **__: object) -> None:
        raise ConnectionResetError("Cannot write to closing transport")

    with monkeypatch.context() as patched:
        patched.setattr(Forwarder, "forward", gone)
        assert (await scene.callers.once("hit")).status is None
    assert (await scene.callers.once("hit")).status == 200
