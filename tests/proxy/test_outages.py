"""A provider that fails is left alone, and the last known facts stand in where a route says so."""

import asyncio
import json
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.backend import ok, script
from support.running_gateway import ADMIN_TOKEN
from support.scripted_provider import Fault, Reply
from support.wire import request

from gateway.runtime import worker_server

PROBE = 1  # the gateway's own question, which alone opens the breaker
DOWN = Reply(500, {"error": "out of order"})
# Long enough that no busy machine gets past it by accident.
LONG = {"breaker": {"interval": "1h"}}
BRIEF = {"breaker": {"interval": "200ms"}}
FRESH = {"ttl": "200ms"}
TOLERANT = {"auth": {"stale_if_error": "5m"}}


async def admin(gateway, method, path, body=None):
    text = b"" if body is None else json.dumps(body).encode()
    host, _, port = gateway.admin_url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    length = f"Content-Length: {len(text)}"
    writer.write(request(method, path, length, "Connection: close", token=ADMIN_TOKEN, host="localhost") + text)
    answer = await reader.read(-1)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def samples(gateway):
    _, text = await admin(gateway, "GET", "/metrics")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


async def unavailable(gateway, token="some", method="GET", path="/api/x"):
    answer = await gateway.ask(request(method, path, token=token), method)
    assert (answer.status, answer.code) == (503, "introspection_unavailable")
    return answer


async def until(gateway, status):
    """The token `good` is answered with `status`, sooner or later."""
    for _ in range(400):
        if (await gateway.get("/api/x", token="good")).status == status:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"never answered {status}")


class TestBreaker:
    async def test_after_five_failures_nobody_asks_and_everybody_is_told_when_to_come_back(self, serve, provider):
        gateway = await serve(provider_keys=LONG)
        provider.default = DOWN
        for _ in range(5):
            await unavailable(gateway)
        for number in range(20):
            answer = await unavailable(gateway, f"other-{number}")
            assert 3000 < int(answer.value("Retry-After")) <= 3600
        assert len(provider.introspections) == 5 + PROBE
        assert "status 500" in gateway.lines.requests[-1]["reason"]
        [line] = [line for line in gateway.lines.all if line["event"] == "breaker"]
        assert (line["state"], line["provider"]) == ("open", "p")
        assert "status 500" in line["reason"]

    async def test_known_tokens_are_answered_meanwhile(self, serve, provider):
        gateway = await serve(provider_keys=LONG)
        assert (await gateway.get("/api/x", token="good")).status == 200
        provider.default = DOWN
        for _ in range(10):
            await unavailable(gateway)
        assert (await gateway.get("/api/x", token="good")).status == 200
        assert (await gateway.get("/open/x")).status == 200

    async def test_a_token_that_is_called_inactive_is_no_failure(self, serve, provider):
        gateway = await serve(provider_keys=LONG)
        for number in range(10):
            assert (await gateway.get("/api/x", token=f"junk-{number}")).status == 401
        assert len(provider.introspections) == 10

    @pytest.mark.parametrize(
        "fault",
        [
            Fault.RESET,
            Fault.SILENCE,
            Reply(401, {"error": "invalid_client"}),
            Reply(403, {}),
            Reply(429, {}),
            Reply(400, {"error": "invalid_client"}),
        ],
        ids=str,
    )
    async def test_what_counts_as_a_failure(self, serve, provider, fault):
        gateway = await serve(provider_keys={"timeout": "600ms", **LONG})
        provider.fault, provider.default = (fault, {}) if isinstance(fault, Fault) else (None, fault)
        for number in range(7):
            await unavailable(gateway, f"t{number}")
        assert len(provider.introspections) == 5 + PROBE
        tokens = {f"t{number}" for number in range(7)}
        assert [call.token in tokens for call in provider.introspections] == [True] * 5 + [False]

    async def test_one_probe_an_interval_until_it_is_back(self, serve, provider, backend):
        gateway = await serve(provider_keys={"breaker": {"interval": "500ms"}})
        provider.default = DOWN
        for _ in range(5):
            await unavailable(gateway)
        began = time.monotonic()
        while time.monotonic() - began < 1.8:
            await asyncio.gather(*(unavailable(gateway, f"t{number}") for number in range(5)))
        probes = len(provider.introspections) - 5 - PROBE
        assert 1 <= probes <= (time.monotonic() - began) / 0.5
        provider.default = {"active": False}
        assert backend.requests == []
        await until(gateway, 200)
        for number in range(5):
            assert (await gateway.get("/api/x", token=f"u{number}")).status == 401

    async def test_it_is_shown_and_takes_no_readiness_away(self, serve, provider):
        gateway = await serve(provider_keys=BRIEF)
        assert (await samples(gateway))["gateway_provider_breaker_state", "p"] == 0
        provider.default = DOWN
        for _ in range(5):
            await unavailable(gateway)
        status, body = await admin(gateway, "GET", "/health/ready")
        assert (status, json.loads(body)["checks"]["breakers"]) == (200, {"p": "open"})
        found = await samples(gateway)
        assert found["gateway_provider_breaker_state", "p"] == 2
        assert found["gateway_provider_breaker_transitions_total", "p", "open"] == 1
        # What was not asked is no introspection.
        assert found["gateway_introspections_total", "unclear", "p"] == 5
        await unavailable(gateway)
        await asyncio.sleep(0.3)
        provider.default = {"active": False}
        assert (await gateway.get("/api/x", token="junk")).status == 401
        found = await samples(gateway)
        assert found["gateway_provider_breaker_state", "p"] == 0
        assert found["gateway_provider_breaker_transitions_total", "p", "closed"] == 1
        assert [line["state"] for line in gateway.lines.all if line["event"] == "breaker"] == ["open", "closed"]

    async def test_a_reload_keeps_it_unless_it_is_about_that_provider(self, serve, provider, backend):
        gateway = await serve(provider_keys=LONG)
        provider.default = DOWN
        for _ in range(5):
            await unavailable(gateway)
        document = json.loads(gateway.text)
        document["routes"][1]["timeout"] = "20s"
        assert await gateway.reload(json.dumps(document))
        await unavailable(gateway)
        assert len(provider.introspections) == 5 + PROBE
        document["providers"]["p"]["breaker"] = None
        assert await gateway.reload(json.dumps(document))
        for _ in range(10):
            await unavailable(gateway)
        assert len(provider.introspections) == 15 + PROBE
        assert (await samples(gateway))["gateway_provider_breaker_state", "p"] == 0

    async def test_a_reload_that_fails_leaves_its_state_shown_as_it_is(self, serve, provider, monkeypatch):
        def fails(*_):
            raise ValueError("not this one")

        gateway = await serve(provider_keys=LONG)
        gateway.expects_errors = True
        provider.default = DOWN
        for _ in range(5):
            await unavailable(gateway)
        document = json.loads(gateway.text)
        document["providers"]["p"]["timeout"] = "3s"
        with monkeypatch.context() as patch:
            patch.setattr(worker_server, "event_endpoint_of", fails)
            assert not await gateway.reload(json.dumps(document))
        assert (await samples(gateway))["gateway_provider_breaker_state", "p"] == 2
        assert await gateway.reload(json.dumps(document))
        assert (await samples(gateway))["gateway_provider_breaker_state", "p"] == 0

    async def test_a_provider_that_retires_shows_nothing_under_the_name_of_another(self, serve, provider):
        gateway = await serve(provider_keys=LONG)
        old = gateway.service._serving._worker.generation.providers["p"]
        document = json.loads(gateway.text)
        document["providers"]["p"]["timeout"] = "3s"
        assert await gateway.reload(json.dumps(document))
        old._breaker_changed("open", "its last call failed")
        found = await samples(gateway)
        assert found["gateway_provider_breaker_state", "p"] == 0
        assert found["gateway_provider_breaker_transitions_total", "p", "open"] == 0

    @pytest.mark.parametrize("status", [429, 503])
    async def test_what_the_provider_asks_for_is_honoured(self, serve, provider, status):
        gateway = await serve(provider_keys=BRIEF)
        provider.default = Reply(status, {}, headers={"Retry-After": "1"})
        answer = await unavailable(gateway)
        assert answer.value("Retry-After") == "1"
        began = time.monotonic()
        await unavailable(gateway, "good")
        assert len(provider.introspections) == 1 + PROBE
        provider.default = {"active": False}
        await until(gateway, 200)
        assert time.monotonic() - began > 0.9

    async def test_what_may_pass_is_tried_once_more_within_the_deadline(self, serve, provider):
        gateway = await serve()
        answers = [Reply(503, {}), {"active": True, "sub": "alice"}]
        provider.answers["some"] = lambda _: answers.pop(0)
        assert (await gateway.get("/api/x", token="some")).status == 200
        assert len(provider.introspections) == 2


class TestWaiting:
    async def test_beyond_so_many_nobody_waits_for_a_slow_provider(self, serve, provider):
        gateway = await serve(provider_keys={"max_concurrency": 2, "max_waiting": 3, "timeout": "20s"})
        provider.delay_s = 1.0
        clients = [await gateway.client() for _ in range(5)]
        for number, client in enumerate(clients):
            await client.send(request("GET", "/api/x", token=f"t{number}"))
        await provider.wait_for_calls(2)
        await asyncio.sleep(0.2)
        began = time.monotonic()
        for number in range(4):
            answer = await unavailable(gateway, f"late-{number}")
            assert int(answer.value("Retry-After")) >= 1
        assert time.monotonic() - began < 0.8
        # Who asks about a token that is on its way waits with the others.
        assert (await gateway.get("/api/x", token="t0")).status == 401
        assert [(await client.answer()).status for client in clients] == [401] * 5
        assert len(provider.introspections) == 5
        assert provider.in_flight_max == 2


class TestStale:
    async def known(self, serve, backend, *, server=None, **more):
        keys = {"cache": FRESH, "server": server, "provider_keys": more.pop("provider_keys", LONG)}
        gateway = await serve(**keys, **(more or TOLERANT))
        assert (await gateway.get("/api/x", token="good")).value("X-Identity-Stale") is None
        return gateway

    @pytest.mark.parametrize("is_fast", [True, False])
    async def test_the_last_known_facts_stand_in_and_it_is_said(self, serve, provider, backend, is_fast):
        gateway = await self.known(serve, backend, server={"fast_path": is_fast})
        provider.answers["good"] = DOWN
        await asyncio.sleep(1.1)
        answer = await gateway.get("/api/x", token="good")
        assert (answer.status, answer.value("X-Identity-Stale")) == (200, "1")
        assert backend.requests[-1].value("X-User-Id") == "alice"
        assert (await gateway.ask(request("HEAD", "/api/x", token="good"), "HEAD")).status == 200
        assert (await gateway.ask(request("OPTIONS", "/api/x", token="good"))).status == 200
        line = await gateway.log_line(2)
        assert (line["status"], line["cache"], line["provider"]) == (200, "local", "p")
        assert 1 < line["stale_s"] < 20
        assert gateway.lines.requests[0]["stale_s"] is None
        assert (await samples(gateway))["gateway_stale_answers_total", "api"] == 3

    async def test_they_do_not_for_methods_that_change_things_unless_the_route_says_so(self, serve, provider, backend):
        gateway = await self.known(serve, backend)
        provider.answers["good"] = DOWN
        await asyncio.sleep(0.3)
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            answer = await unavailable(gateway, "good", method)
            assert answer.value("X-Identity-Stale") is None
        document = json.loads(gateway.text)
        document["routes"][1]["auth"]["stale_methods"] = ["POST"]
        assert await gateway.reload(json.dumps(document))
        assert (await gateway.ask(request("POST", "/api/x", token="good", body=b"x"))).status == 200
        await unavailable(gateway, "good", "GET")

    async def test_they_do_not_where_the_route_says_nothing(self, serve, provider, backend):
        auths = {"strict": {}, "tolerant": {"stale_if_error": "5m"}}
        routes = [
            {"name": name, "match": {"path": f"/{name}/**"}, "backend": backend.url, "auth": auth}
            for name, auth in auths.items()
        ]
        gateway = await serve(routes, cache=FRESH, provider_keys=LONG)
        assert (await gateway.get("/strict/x", token="good")).status == 200
        provider.answers["good"] = DOWN
        await asyncio.sleep(0.3)
        await unavailable(gateway, "good", path="/strict/x")
        assert (await gateway.get("/tolerant/x", token="good")).status == 200

    @pytest.mark.parametrize("is_fast", [True, False])
    async def test_the_policy_judges_them_too(self, serve, provider, backend, is_fast):
        auths = {"api": {}, "admin": {"scopes": ["admin"]}}
        routes = [
            {
                "name": name,
                "match": {"path": f"/{name}/**"},
                "backend": backend.url,
                "auth": {"stale_if_error": "5m", **auth},
            }
            for name, auth in auths.items()
        ]
        gateway = await serve(routes, cache=FRESH, provider_keys=LONG, server={"fast_path": is_fast})
        assert (await gateway.get("/api/x", token="good")).status == 200
        provider.answers["good"] = DOWN
        await asyncio.sleep(0.3)
        answer = await gateway.get("/admin/x", token="good")
        assert (answer.status, answer.code) == (403, "insufficient_scope")
        assert answer.value("X-Identity-Stale") is not None

    async def test_not_past_what_is_tolerated(self, serve, provider, backend):
        gateway = await self.known(serve, backend, auth={"stale_if_error": "700ms"})
        provider.answers["good"] = DOWN
        await asyncio.sleep(0.3)
        assert (await gateway.get("/api/x", token="good")).status == 200
        await asyncio.sleep(0.8)
        await unavailable(gateway, "good")

    async def test_not_past_exp(self, serve, provider, backend):
        provider.answers["good"] = {"active": True, "sub": "alice", "exp": int(time.time()) + 2}
        gateway = await self.known(serve, backend)
        provider.answers["good"] = DOWN
        await asyncio.sleep(2.2)
        await unavailable(gateway, "good")

    @pytest.mark.parametrize("selector", [{"token": "good"}, {"sub": "alice"}, None])
    async def test_not_after_a_purge(self, serve, provider, backend, selector):
        gateway = await self.known(serve, backend)
        provider.answers["good"] = DOWN
        await asyncio.sleep(0.3)
        assert (await gateway.get("/api/x", token="good")).status == 200
        assert (await admin(gateway, "DELETE", "/cache", selector))[0] == 200
        await unavailable(gateway, "good")

    async def test_not_after_the_provider_said_no(self, serve, provider, backend):
        gateway = await serve(cache={**FRESH, "inactive_ttl": "100ms"}, provider_keys=LONG, **TOLERANT)
        assert (await gateway.get("/api/x", token="good")).status == 200
        provider.answers["good"] = {"active": False}
        await asyncio.sleep(0.3)
        assert (await gateway.get("/api/x", token="good")).status == 401
        provider.answers["good"] = DOWN
        await asyncio.sleep(0.2)
        for _ in range(7):
            await unavailable(gateway, "good")

    async def test_no_token_that_was_never_known(self, serve, provider, backend):
        gateway = await self.known(serve, backend)
        provider.default = DOWN
        await unavailable(gateway, "new")
        assert len(backend.requests) == 1

    async def test_while_the_breaker_is_open_they_stand_in_at_once_and_call_nobody(self, serve, provider, backend):
        gateway = await self.known(serve, backend)
        provider.fault = Fault.RESET
        await asyncio.sleep(0.3)
        for _ in range(50):
            assert (await gateway.get("/api/x", token="good")).status == 200
        # The first one, five that fail, and one on a connection that was kept, which is repeated on a new one.
        assert len(provider.introspections) <= 1 + 5 + 1 + PROBE
        provider.fault = None

    async def test_when_it_is_back_they_do_not_any_more(self, serve, provider, backend):
        gateway = await self.known(serve, backend, provider_keys=BRIEF, **TOLERANT)
        good, provider.answers["good"] = provider.answers["good"], DOWN
        await asyncio.sleep(0.3)
        for _ in range(8):
            assert (await gateway.get("/api/x", token="good")).value("X-Identity-Stale") is not None
        provider.answers["good"] = {"active": False}
        await until(gateway, 401)
        provider.answers["good"] = good

    async def test_a_backend_does_not_say_so_itself(self, serve, provider, backend):
        gateway = await self.known(serve, backend)
        backend.answers.append(script(ok(b"x", "X-Identity-Stale: 7")))
        answer = await gateway.get("/api/x", token="good")
        assert (answer.body, answer.value("X-Identity-Stale")) == (b"x", None)

    async def test_a_route_with_a_shorter_age_has_younger_facts_stand_in(self, serve, provider, backend):
        auths = {"api": {}, "zero": {"max_age": "0s", "stale_if_error": "700ms"}}
        routes = [
            {"name": name, "match": {"path": f"/{name}/**"}, "backend": backend.url, "auth": auth}
            for name, auth in auths.items()
        ]
        gateway = await serve(routes, cache={"ttl": "1m"}, provider_keys=LONG)
        assert (await gateway.get("/api/x", token="good")).status == 200
        provider.answers["good"] = DOWN
        assert (await gateway.get("/zero/x", token="good")).value("X-Identity-Stale") == "0"
        await asyncio.sleep(0.8)
        await unavailable(gateway, "good", path="/zero/x")
        assert (await gateway.get("/api/x", token="good")).value("X-Identity-Stale") is None

    async def test_explain_says_so(self, serve, provider, backend):
        gateway = await self.known(serve, backend)
        provider.answers["good"] = DOWN
        await asyncio.sleep(0.3)
        question = {"method": "GET", "url": "/api/x", "token": "good"}
        _, body = await admin(gateway, "POST", "/explain", question)
        told = json.loads(body)
        assert told["decision"] == "allow"
        assert any("because the provider cannot tell" in step for step in told["steps"])


async def test_a_reload_that_tolerates_more_keeps_what_comes_from_then_on(serve, provider, backend):
    gateway = await serve(cache=FRESH, provider_keys=LONG)
    document = json.loads(gateway.text)
    document["routes"][1]["auth"] = {"stale_if_error": "5m"}
    assert await gateway.reload(json.dumps(document))
    assert (await gateway.get("/api/x", token="good")).status == 200
    provider.answers["good"] = DOWN
    await asyncio.sleep(1.0)
    assert (await gateway.get("/api/x", token="good")).status == 200
