"""`gateway serve` as processes: workers on one port, signals, and a worker that dies."""

import asyncio
import json
import os
import re
import signal
import urllib.request
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support import processes
from support.backend import HANG, Backend, Wait, ok, script
from support.busy_clients import BusyClients
from support.keycloak import free_ports
from support.running_gateway import configuration, eventually, provider_settings
from support.served import served
from support.wire import BrokenOffError, Client, request

TOKEN = "good"


class Serving:
    def __init__(self, process, config, port, admin_port):
        self.process = process
        self.config = config
        self.address = ("127.0.0.1", port)
        self.admin = f"http://127.0.0.1:{admin_port}"

    async def get(self, target, token=TOKEN):
        async with await Client.of(self.address) as client:
            await client.send(request("GET", target, token=token))
            return await client.answer()

    async def scrape(self):
        def read():
            with urllib.request.urlopen(self.admin + "/metrics", timeout=10) as response:
                return response.read().decode()

        return await asyncio.to_thread(read)

    def output(self):
        return self.config.with_suffix(".log").read_text()

    def events(self, name):
        return [line for line in map(json.loads, self.output().splitlines()) if line["event"] == name]

    def workers(self):
        children = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            children += [int(pid) for pid in (task / "children").read_text().split()]
        return children


def running(pids):
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def start(provider, backend, tmp_path):
    @asynccontextmanager
    async def start(cwd=None, route=None, **server):
        port, admin_port = free_ports(2)
        routes = [{"name": "api", "match": {"path": "/api/**"}, "backend": backend.url, **(route or {})}]
        text = configuration(
            providers={"p": provider_settings(provider)},
            routes=routes,
            server={"listen": f"127.0.0.1:{port}", **server},
            admin={"listen": f"127.0.0.1:{admin_port}"},
        )
        config = tmp_path / "gateway.yaml"
        config.write_text(text)
        context = served(config, admin_port, cwd)
        process = await asyncio.to_thread(context.__enter__)
        try:
            yield Serving(process, config, port, admin_port)
        finally:
            await asyncio.to_thread(context.__exit__, None, None, None)

    return start


async def test_two_workers_through_reloads_a_death_and_the_end(start, backend):
    async with start(workers=2) as serving:
        before = serving.workers()
        assert len(before) == 2
        for _ in range(20):
            assert (await serving.get("/api/x")).status == 200
        counted = re.search(r'gateway_requests_total\{[^}]*status="200"[^}]*\} ([0-9.]+)', await serving.scrape())
        assert float(counted[1]) == 20

        # SIGHUP: the new file holds for every worker.
        serving.config.write_text(serving.config.read_text().replace("/api/**", "/next/**"))
        serving.process.send_signal(signal.SIGHUP)
        await eventually(lambda: serving.events("reloaded"))
        for _ in range(10):
            assert (await serving.get("/next/x")).status == 200
            assert (await serving.get("/api/x")).status == 404

        # A bad file keeps the old one.
        good = serving.config.read_text()
        serving.config.write_text("routes: 7")
        serving.process.send_signal(signal.SIGHUP)
        await eventually(lambda: serving.events("reload_refused"))
        assert (await serving.get("/next/x")).status == 200
        serving.config.write_text(good)

        # A worker dies: the other serves, and another takes its place under the configuration of now.
        os.kill(before[0], signal.SIGKILL)
        failed = 0
        await eventually(lambda: before[0] not in serving.workers())
        for _ in range(20):
            try:
                failed += (await serving.get("/next/x")).status != 200
            except (BrokenOffError, ConnectionError):
                failed += 1  # it had been given to the dead one
        await eventually(lambda: len(serving.workers()) == 2, within_s=60)
        assert before[1] in serving.workers()
        assert failed <= 2
        for _ in range(10):
            assert (await serving.get("/next/x")).status == 200

        # SIGTERM: what is under way ends, then all processes do.
        workers = serving.workers()
        serving.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(serving.process.wait, 20) == 0
        assert not running(workers)
        assert f"Bearer {TOKEN}" not in serving.output()
        assert len(serving.events("request")) >= 60


@pytest.mark.parametrize(
    ("workers", "drain_delay", "is_unix"), [(1, "0s", False), (2, "1s", False), (2, "1s", True)], ids=str
)
async def test_busy_clients_lose_no_request_when_it_stops(start, backend, tmp_path, workers, drain_delay, is_unix):
    path = tmp_path / "gateway.sock"
    listen = {"listen": f"unix:{path}"} if is_unix else {}
    async with start(workers=workers, drain_delay=drain_delay, shutdown_timeout="20s", **listen) as serving:
        address = str(path) if is_unix else serving.address
        groups = [BusyClients(address, 12, think_s, TOKEN) for think_s in (0, 0.05)]
        await asyncio.sleep(0.5)
        for clients in groups:
            clients.stopping()  # before the signal: the delay may begin before the call returns
        serving.process.send_signal(signal.SIGTERM)
        all_met = [await clients.ended() for clients in groups]
        assert await asyncio.to_thread(serving.process.wait, 20) == 0
    for met in all_met:
        assert (met.lost, met.others, len(met.refused)) == ([], [], 12)
        # From the end of the delay on they are refused; before it nobody is.
        assert min(met.refused) >= float(drain_delay.removesuffix("s"))
        assert met.answered_while_stopping >= 12


async def test_one_worker_asks_the_backends_and_all_believe_it_also_after_its_death(start, backend):
    bad = Backend()
    await bad.start()
    health = {"path": "/healthz", "interval": "200ms", "healthy_after": 1, "unhealthy_after": 1}
    unwell = script(ok(status="503 Service Unavailable"))
    bad.default = lambda seen: unwell if seen.target == "/healthz" else script(ok(b"bad"))

    def reached():
        return sum(one.target != "/healthz" for one in bad.requests)

    async def ask(count):
        for _ in range(count):
            assert (await serving.get("/api/x")).status == 200

    route = {"backend": [bad.url, backend.url], "health": health, "outliers": None}
    try:
        async with start(workers=2, route=route) as serving:
            await eventually(lambda: serving.events("backend_failing"))
            await asyncio.sleep(3.0)  # the other one is told within a second, and the readiness of both is known
            before = reached()
            await ask(30)
            assert reached() == before
            assert len(serving.events("backend_failing")) == 1  # by the one that asks
            # One of them is gone; whichever it was, somebody asks.
            [first, _] = serving.workers()
            os.kill(first, signal.SIGKILL)
            await eventually(lambda: first not in serving.workers() and len(serving.workers()) == 2, within_s=60)
            unwell = script(ok(b"well"))
            await asyncio.sleep(5.0)
            await ask(30)
            assert reached() - before >= 8
    finally:
        await bad.stop()


async def test_one_process_drains_on_sigterm(start, backend):
    go_on = asyncio.Event()
    backend.default = script(Wait(go_on), ok(b"in time"))
    async with start() as serving, await Client.of(serving.address) as client:
        await client.send(request("GET", "/api/x", token=TOKEN))
        await backend.seen()
        serving.process.send_signal(signal.SIGTERM)
        await eventually(lambda: serving.events("draining"))
        with pytest.raises((ConnectionError, BrokenOffError)):
            await serving.get("/api/x")
        go_on.set()
        answer = await client.answer()
        assert (answer.body, answer.value("Connection")) == (b"in time", "close")
        assert await asyncio.to_thread(serving.process.wait, 20) == 0


async def test_a_second_sigterm_waits_for_nothing(start, backend):
    backend.default = script(HANG)
    async with start() as serving, await Client.of(serving.address) as client:
        await client.send(request("GET", "/api/x", token=TOKEN))
        await backend.seen()
        serving.process.send_signal(signal.SIGTERM)
        await eventually(lambda: serving.events("draining"))
        serving.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(serving.process.wait, 20) == 0


async def test_workers_import_nothing_from_the_current_directory(start, backend, tmp_path):
    poisoned = tmp_path / "poisoned"
    poisoned.mkdir()
    for name in ("aiohttp", "asyncio", "gateway", "json", "logging", "redis", "uvloop", "yaml"):
        (poisoned / f"{name}.py").write_text(
            f"open({str(tmp_path / 'ran')!r}, 'w').write(__file__)\nraise SystemExit(9)\n"
        )
    async with start(cwd=poisoned, workers=2) as serving:
        assert len(serving.workers()) == 2
        assert (await serving.get("/api/x")).status == 200
    assert not (tmp_path / "ran").exists()


async def test_one_that_does_not_get_ready_in_time_is_left_to_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "READY_WITHIN_S", 0.0)
    port, admin_port = free_ports(2)
    document = {
        "server": {"listen": f"127.0.0.1:{port}"},
        "admin": {"listen": f"127.0.0.1:{admin_port}"},
        "routes": [{"name": "open", "match": {"path": "/**"}, "backend": "http://127.0.0.1:9", "auth": "none"}],
    }
    gateway = processes.ServedGateway("late", tmp_path, document)
    with pytest.raises(AssertionError, match="late did not get ready"):
        await gateway.start()
    assert gateway.exit_status is not None
