"""Configurations swapped under load, and an end that loses nothing."""

import asyncio
import json

import aiohttp
import pytest
from support.backend import Wait, chunked, ok, script
from support.running_gateway import eventually
from support.wire import BrokenOffError, Client, request

LOAD_S = 4.0


async def readiness(gateway):
    async with aiohttp.ClientSession() as session, session.get(gateway.admin_url + "/health/ready") as response:
        return response.status, await response.json()


class Load:
    """Connections that ask one thing after the other, for as long as the block lasts."""

    def __init__(self, gateway, connections, wire):
        self.gateway = gateway
        self.wire = wire
        self.connections = connections
        self.statuses = []
        self.failures = []
        self.is_over = False

    async def __aenter__(self):
        self.tasks = [asyncio.create_task(self.run(number)) for number in range(self.connections)]
        return self

    async def __aexit__(self, *_):
        self.is_over = True
        await asyncio.gather(*self.tasks)

    async def run(self, number):
        while not self.is_over:
            async with await Client.of(self.gateway.address) as client:
                try:
                    for _ in range(50):
                        if self.is_over:
                            return
                        await client.send(self.wire(number))
                        answer = await client.answer()
                        self.statuses.append(answer.status)
                except (BrokenOffError, ConnectionError) as error:
                    self.failures.append(repr(error))


class TestReload:
    async def test_what_was_sent_ahead_under_a_lower_limit_is_read_on_under_a_higher_one(self, serve, backend):
        go_on = asyncio.Event()
        backend.answers.append(script(Wait(go_on), ok(b"first")))
        gateway = await serve(server={"max_header_bytes": "1KiB"})
        async with await gateway.client() as client:
            await client.send(request("GET", "/open/first"))
            await eventually(lambda: backend.requests)
            for number in range(60):
                await client.send(request("GET", f"/open/{number}"))
                await asyncio.sleep(0)
            await asyncio.sleep(0.2)
            document = json.loads(gateway.text)
            document["server"]["max_header_bytes"] = "64KiB"
            assert await gateway.reload(json.dumps(document))
            go_on.set()
            assert (await client.answer()).body == b"first"
            for _ in range(60):
                assert (await client.answer()).status == 200
            await client.send(request("GET", "/open/last"))
            assert (await client.answer()).status == 200

    async def test_no_request_fails_while_configurations_are_swapped(self, serve, backend, provider):
        gateway = await serve()
        document = json.loads(gateway.text)
        bodies = [None, b"x" * 10_000]
        reloads = 0
        async with Load(gateway, 32, lambda n: request("POST", "/api/x", token="good", body=bodies[n % 2])) as load:
            end = asyncio.get_running_loop().time() + LOAD_S
            while asyncio.get_running_loop().time() < end:
                reloads += 1
                # Each time something else changes: a route, the cache, the provider.
                document["routes"][0]["timeout"] = f"{reloads + 1}s"
                document["cache"] = {"ttl": f"{60 + reloads // 3}s"}
                document["providers"]["p"]["timeout"] = f"{2000 + reloads // 5}ms"
                assert await gateway.reload(json.dumps(document))
                await asyncio.sleep(0.1)
        assert load.failures == []
        assert set(load.statuses) == {200}
        assert len(load.statuses) > 100
        assert reloads > 10
        await eventually(lambda: len(backend.requests) == len(load.statuses))

    async def test_what_is_reloaded_holds_for_the_next_request_on_an_open_connection(self, serve, backend):
        gateway = await serve()
        document = json.loads(gateway.text)
        async with await gateway.client() as client:
            await client.send(request("GET", "/new/x"))
            assert (await client.answer()).code == "no_route"
            document["routes"][0]["match"]["path"] = "/new/**"
            assert await gateway.reload(json.dumps(document))
            await client.send(request("GET", "/new/x") + request("GET", "/open/x"))
            assert (await client.answer()).status == 200
            assert (await client.answer()).code == "no_route"

    async def test_a_request_under_way_ends_under_the_old_one(self, serve, backend):
        go_on = asyncio.Event()
        backend.answers.append(script(Wait(go_on), ok(b"old")))
        gateway = await serve(response_headers={"set": {"X-Config": "old"}})
        async with await gateway.client() as client:
            await client.send(request("GET", "/open/x"))
            await backend.seen()
            assert await gateway.reload(gateway.text.replace('"old"', '"new"').replace("/open/", "/gone/"))
            go_on.set()
            answer = await client.answer()
            assert (answer.body, answer.value("X-Config")) == (b"old", "old")
            await client.send(request("GET", "/gone/x"))
            assert (await client.answer()).value("X-Config") == "new"

    async def test_what_is_remembered_lives_on(self, serve, backend, provider):
        gateway = await serve()
        await gateway.get("/api/x", token="good")
        document = json.loads(gateway.text)
        document["routes"][1]["auth"] = {"scopes": ["admin"]}
        assert await gateway.reload(json.dumps(document))
        assert (await gateway.get("/api/x", token="good")).code == "insufficient_scope"
        assert len(provider.introspections) == 1

    @pytest.mark.parametrize("text", ["{", "routes: [{name: a, backend: 7}]", "", "server: {listen: 127.0.0.1:1}"])
    async def test_a_bad_file_keeps_the_old_one(self, serve, backend, text):
        gateway = await serve()
        gateway.expects_errors = True
        assert not await gateway.reload(text)
        assert (await gateway.get("/open/x")).status == 200
        assert gateway.lines.errors[0]["event"] == "reload_refused"


class TestDrain:
    async def test_what_is_under_way_ends_and_nothing_new_begins(self, serve, backend):
        go_on = asyncio.Event()
        backend.answers.append(script(Wait(go_on), ok(b"in time")))
        gateway = await serve()
        busy = await gateway.client()
        await busy.send(request("GET", "/open/x"))
        await backend.seen()
        draining = asyncio.create_task(gateway.drain(10))
        await asyncio.sleep(0.05)
        with pytest.raises((ConnectionError, BrokenOffError)):
            await gateway.get("/open/x")
        status, document = await readiness(gateway)
        assert status == 503
        assert "draining" in json.dumps(document)
        assert not draining.done()
        go_on.set()
        answer = await busy.answer()
        assert (answer.body, answer.value("Connection")) == (b"in time", "close")
        assert await busy.rest() == b""
        await asyncio.wait_for(draining, 5)
        assert len(backend.requests) == 1

    async def test_an_upload_and_a_download_come_to_their_end(self, serve, backend):
        go_on = asyncio.Event()
        backend.default = lambda seen: (
            script(ok(b"stored"))
            if seen.method == "POST"
            else script(chunked(b"ab", end=b""), Wait(go_on), b"2\r\ncd\r\n0\r\n\r\n")
        )
        gateway = await serve()
        up, down = await gateway.client(), await gateway.client()
        await up.send(request("POST", "/open/x", "Content-Length: 300000") + b"x" * 100_000)
        await down.send(request("GET", "/open/x"))
        assert (await down.head()).status == 200
        await backend.seen(2)
        draining = asyncio.create_task(gateway.drain(10))
        await asyncio.sleep(0.1)
        await up.send(b"y" * 200_000)
        assert (await up.answer()).body == b"stored"
        go_on.set()
        assert await down.rest() == b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"
        await asyncio.wait_for(draining, 5)
        assert sorted(len(one.body) for one in backend.requests) == [0, 300_000]

    async def test_a_head_that_has_begun_is_served(self, serve, backend):
        gateway = await serve()
        client = await gateway.client()
        await client.send(b"GET /open/x HTTP/1.1\r\nHo")
        await asyncio.sleep(0.05)
        draining = asyncio.create_task(gateway.drain(10))
        await asyncio.sleep(0.1)
        await client.send(b"st: a\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.value("Connection")) == (200, "close")
        await asyncio.wait_for(draining, 5)

    async def test_what_takes_too_long_is_cut(self, serve, backend):
        never = asyncio.Event()
        backend.default = script(Wait(never))
        gateway = await serve()
        client = await gateway.client()
        await client.send(request("GET", "/open/x"))
        await backend.seen()
        await asyncio.wait_for(gateway.drain(0.3), 5)
        assert await client.rest() == b""
        await backend.connections[0].wait_ended()

    async def test_at_once_is_at_once(self, serve, backend):
        backend.default = script(Wait(asyncio.Event()))
        gateway = await serve()
        client = await gateway.client()
        await client.send(request("GET", "/open/x"))
        await backend.seen()
        await asyncio.wait_for(gateway.drain(0), 5)

    async def test_no_request_is_lost_when_the_end_comes_under_load(self, serve, backend):
        gateway = await serve()
        answered = []

        async def one_after_the_other():
            async with await Client.of(gateway.address) as client:
                while True:
                    await client.send(request("GET", "/open/x"))
                    answer = await client.answer()
                    answered.append(answer.status)
                    if answer.value("Connection") == "close":
                        return

        tasks = [asyncio.create_task(one_after_the_other()) for _ in range(16)]
        await asyncio.sleep(0.3)
        await gateway.drain(10)
        await asyncio.gather(*tasks)
        assert set(answered) == {200}
        assert len(backend.requests) == len(answered)
