"""Tokens that nobody knows: so many per client address, and none at all that could never be good."""

import asyncio
import base64
import json
import time

import pytest
from support.running_gateway import RunningGateway, configuration, provider_settings
from support.scripted_provider import Reply, ScriptedProvider
from support.wire import request

ISSUER = "https://sso.example.com/realms/demo"
FEW = {"unknown_tokens": {"rate": 1, "burst": 5}}


def jwt(**claims):
    parts = ({"alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts) + ".c2ln"


async def status(gateway, token, *lines, method="GET"):
    return (await gateway.ask(request(method, "/api/x", *lines, token=token), method)).status


class TestLimit:
    @pytest.mark.parametrize("is_fast", [True, False])
    async def test_beyond_the_burst_nobody_is_asked(self, serve, provider, backend, is_fast):
        gateway = await serve(server={**FEW, "fast_path": is_fast})
        statuses = [await status(gateway, f"junk-{number}") for number in range(30)]
        assert statuses[:5] == [401] * 5
        assert set(statuses) == {401, 429}
        assert len(provider.introspections) == statuses.count(401) <= 5 + 10
        result = await gateway.get("/api/x", token="junk")
        if result.status == 429:
            assert result.code == "rate_limited"
            assert 1 <= int(result.value("Retry-After")) <= 2
            assert result.value("WWW-Authenticate") is None
        assert backend.requests == []
        assert [line["code"] for line in gateway.lines.requests].count("rate_limited") >= 10

    async def test_and_after_a_while_again(self, serve, provider):
        gateway = await serve(server={"unknown_tokens": {"rate": 5, "burst": 1}})
        statuses = [await status(gateway, f"junk-{number}") for number in range(10)]
        assert 429 in statuses
        await asyncio.sleep(0.5)
        assert await status(gateway, "junk") == 401

    @pytest.mark.parametrize(
        ("name", "junk", "good"),
        [
            ("X-Forwarded-For", "203.0.113.7:{}", "198.51.100.9:50001"),
            ("X-Forwarded-For", "[2001:db8::7]:{}", "[2001:db8:1::9]:50001"),
            ("Forwarded", 'for="203.0.113.7:{}"', "for=198.51.100.9"),
        ],
    )
    async def test_a_client_behind_a_balancer_is_counted_apart_whatever_port_it_came_from(
        self, serve, provider, name, junk, good
    ):
        gateway = await serve(server={**FEW, "trusted_proxies": ["127.0.0.0/8"]})
        tried = [await status(gateway, f"junk-{n}", f"{name}: {junk.format(50_000 + n)}") for n in range(30)]
        assert set(tried) == {401, 429}
        provider.answers["fresh"] = {"active": True, "sub": "fresh"}
        assert await status(gateway, "fresh", f"{name}: {good}") == 200

    async def test_tokens_that_turn_out_active_cost_nothing(self, serve, provider):
        gateway = await serve(server=FEW)
        for number in range(40):
            provider.answers[f"user-{number}"] = {"active": True, "sub": f"user-{number}"}
            assert await status(gateway, f"user-{number}") == 200

    async def test_what_is_known_costs_nothing_whatever_is_left(self, serve, provider):
        gateway = await serve(server=FEW, cache={"ttl": "300ms"}, auth={"stale_if_error": "5m"})
        assert await status(gateway, "good") == 200
        assert await status(gateway, "known-junk") == 401
        for number in range(30):
            await status(gateway, f"junk-{number}")
            assert await status(gateway, "good") == 200
            assert await status(gateway, "known-junk") == 401
        await asyncio.sleep(0.35)
        for number in range(10):
            await status(gateway, f"more-junk-{number}")
        # Not fresh any more, and asked about again all the same: it is no stranger.
        assert await status(gateway, "good") == 200

    async def test_what_another_provider_of_the_route_knows_is_known(self, provider, backend):
        async with ScriptedProvider() as other:
            other.answers["good"] = {"active": True, "sub": "alice"}
            route = {"name": "api", "match": {"path": "/api/**"}, "backend": backend.url}
            gateway = RunningGateway(
                configuration(
                    providers={"q": provider_settings(provider), "p": provider_settings(other)},
                    routes=[{**route, "auth": {"provider": ["q", "p"]}}],
                    server={"unknown_tokens": {"rate": 1, "burst": 3}},
                    cache={"inactive_ttl": "0s"},
                )
            )
            del provider.answers["good"]
            await gateway.start()
            try:
                assert [await status(gateway, "good") for _ in range(10)] == [200] * 10
            finally:
                await gateway.stop()
            assert len(provider.introspections) == 10

    async def test_requests_without_a_token_and_open_routes_have_no_part_in_it(self, serve, provider):
        gateway = await serve(server=FEW)
        for number in range(10):
            await status(gateway, f"junk-{number}")
        assert (await gateway.get("/api/x")).status == 401
        assert (await gateway.get("/open/x")).status == 200
        assert (await gateway.get("/open/x", token="junk")).status == 200

    async def test_an_outage_is_told_as_an_outage(self, serve, provider):
        """Where nobody is asked nobody is charged: 503, not 429."""
        gateway = await serve(server=FEW, provider_keys={"breaker": {"failures": 2, "interval": "1h"}})
        provider.default = Reply(500, {})
        assert [await status(gateway, f"t-{number}") for number in range(30)] == [503] * 30

    async def test_so_is_a_provider_that_has_not_been_found(self, serve, provider):
        gateway = await serve(server=FEW, provider_keys={"issuer": provider.issuer, "introspection_endpoint": None})
        assert [await status(gateway, f"t-{number}") for number in range(30)] == [503] * 30

    async def test_null_is_no_limit(self, serve, provider):
        gateway = await serve(server={"unknown_tokens": None})
        assert [await status(gateway, f"junk-{number}") for number in range(50)] == [401] * 50

    async def test_a_reload_keeps_what_was_taken_and_takes_other_limits(self, serve, provider):
        gateway = await serve(server={"unknown_tokens": {"rate": 1, "burst": 3}})
        for number in range(10):
            last = await status(gateway, f"junk-{number}")
        assert last == 429
        document = json.loads(gateway.text)
        document["routes"][1]["timeout"] = "20s"
        assert await gateway.reload(json.dumps(document))
        assert 429 in [await status(gateway, f"more-{number}") for number in range(4)]
        document["server"]["unknown_tokens"] = None
        assert await gateway.reload(json.dumps(document))
        assert await status(gateway, "yet-another") == 401

    async def test_behind_a_trusted_proxy_the_client_counts(self, serve, provider):
        gateway = await serve(server={**FEW, "trusted_proxies": ["127.0.0.0/8"]})
        for number in range(20):
            last = await status(gateway, f"junk-{number}", "X-Forwarded-For: 203.0.113.9")
        assert last == 429
        assert await status(gateway, "junk", "X-Forwarded-For: 203.0.113.10") == 401
        assert await status(gateway, "junk-v6", "X-Forwarded-For: 2001:db8::1") == 401

    async def test_what_an_untrusted_client_says_of_itself_does_not(self, serve, provider):
        gateway = await serve(server=FEW)
        statuses = [
            await status(gateway, f"junk-{number}", f"X-Forwarded-For: 203.0.113.{number}") for number in range(30)
        ]
        assert statuses.count(429) >= 10

    async def test_explain_is_not_limited(self, serve, provider):
        gateway = await serve(server=FEW)
        for number in range(20):
            await status(gateway, f"junk-{number}")
        worker = gateway.service._serving._worker
        told = await worker.explain({"method": "GET", "url": "/api/x", "token": "good"})
        assert told["decision"] == "allow"


class TestHopeless:
    @pytest.fixture
    async def gateway(self, serve):
        return await serve(provider_keys={"issuer": ISSUER})

    async def refused_unasked(self, gateway, provider, token):
        before = len(provider.introspections)
        result = await gateway.get("/api/x", token=token)
        assert (result.status, result.code) == (401, "invalid_token")
        assert 'error="invalid_token"' in result.value("WWW-Authenticate")
        assert len(provider.introspections) == before

    async def test_a_jwt_that_has_expired_by_its_own_word_is_refused_without_a_call(self, gateway, provider):
        now = time.time()
        await self.refused_unasked(gateway, provider, jwt(exp=int(now) - 3600, iss=ISSUER))
        await self.refused_unasked(gateway, provider, jwt(exp=int(now) - 61))

    async def test_so_is_one_of_an_issuer_that_the_route_has_not(self, gateway, provider):
        await self.refused_unasked(gateway, provider, jwt(iss="https://evil.example.com", exp=int(time.time()) + 60))

    async def test_it_costs_little_of_what_unknown_tokens_may(self, serve, provider):
        gateway = await serve(server=FEW, provider_keys={"issuer": ISSUER})
        for number in range(30):
            await self.refused_unasked(gateway, provider, jwt(exp=number))
        assert await status(gateway, "good") == 200

    @pytest.mark.parametrize("is_fast", [True, False])
    async def test_and_is_not_free(self, serve, provider, is_fast):
        few = {"unknown_tokens": {"rate": 1, "burst": 5}, "fast_path": is_fast}
        gateway = await serve(server=few, provider_keys={"issuer": ISSUER})
        statuses = [await status(gateway, jwt(exp=number)) for number in range(150)]
        assert statuses[:40] == [401] * 40
        assert 429 in statuses
        assert provider.introspections == []

    async def test_of_an_address_that_has_nothing_left_no_token_is_looked_at(self, serve, provider, monkeypatch):
        looked_at = []
        monkeypatch.setattr("gateway.introspection.admission.cannot_be_valid", lambda *_, **__: looked_at.append(1))
        gateway = await serve(server=FEW, provider_keys={"issuer": ISSUER})
        statuses = [await status(gateway, f"junk-{number}") for number in range(30)]
        assert len(looked_at) == len(statuses) - statuses.count(429) < 20

    async def test_nothing_is_ever_accepted_by_it(self, gateway, provider, backend):
        token = jwt(iss=ISSUER, exp=int(time.time()) + 3600, sub="alice", active=True)
        assert await status(gateway, token) == 401
        assert [call.token for call in provider.introspections] == [token]
        assert backend.requests == []

    @pytest.mark.parametrize(
        "token",
        [
            jwt(iss=ISSUER, exp=int(time.time()) + 3600),
            jwt(sub="alice"),
            jwt(exp="soon", iss=[ISSUER]),
            jwt(exp=True),
            "a.b.c",
            "e30.e30",
            jwt(exp=1) + ".e30",
        ],
    )
    async def test_all_else_is_asked_about(self, gateway, provider, token):
        provider.answers[token] = {"active": True, "sub": "alice"}
        assert await status(gateway, token) == 200
        assert len(provider.introspections) == 1

    async def test_a_clock_that_is_a_little_apart_refuses_nothing_by_itself(self, gateway, provider):
        token = jwt(exp=int(time.time()) - 20, iss=ISSUER)
        provider.answers[token] = {"active": True, "sub": "alice"}
        assert await status(gateway, token) == 200

    async def test_where_no_issuer_is_configured_any_is_asked_about(self, serve, provider):
        gateway = await serve()
        token = jwt(iss="https://elsewhere.example.com")
        provider.answers[token] = {"active": True, "sub": "alice"}
        assert await status(gateway, token) == 200

    async def test_the_routes_own_issuer_is_the_one_that_counts(self, serve, provider):
        inner = "http://keycloak:8080/realms/demo"
        gateway = await serve(provider_keys={"issuer": ISSUER}, auth={"issuer": inner})
        token = jwt(iss=inner)
        provider.answers[token] = {"active": True, "sub": "alice", "iss": inner}
        assert await status(gateway, token) == 200
        await self.refused_unasked(gateway, provider, jwt(iss=ISSUER))

    async def test_explain_says_why(self, gateway, provider):
        worker = gateway.service._serving._worker
        told = await worker.explain({"method": "GET", "url": "/api/x", "token": jwt(exp=1)})
        assert (told["status"], told["code"]) == (401, "invalid_token")
        assert any("expired by its own exp" in step for step in told["steps"])
        assert provider.introspections == []
