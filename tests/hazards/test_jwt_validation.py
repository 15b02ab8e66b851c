"""JWTs that are judged by the provider's keys: forged ones cost no call but for keys, and evicted ones stay out.

Every case goes over both lanes. What a recording provider saw counts as much as the status.
"""

import asyncio
import base64
import json
import time
from typing import Any

import pytest
import pytest_asyncio
from support.lanes import lane_keys
from support.redis_server import RedisServer, running
from support.running_gateway import RunningGateway, configuration
from support.scripted_provider import Reply
from support.signing import encoded, forged_by_mac, jwk, key_for, rsa_key, signed, unsigned, without
from support.wire import request

in_module = {"scope": "module", "loop_scope": "module"}
pytestmark = pytest.mark.asyncio(loop_scope="module")
NONE = encoded(b'{"alg":"none"}')
TWO_ALGORITHMS = encoded(b'{"alg":"RS256","alg":"none"}')
MODES = ("jwt", "jwt_then_introspection")


def keys(*more: dict[str, Any]) -> dict[str, Any]:
    return {"keys": [jwk(rsa_key()), jwk(key_for_es256(), "e1"), *more]}


_ES256: list[Any] = []


def key_for_es256() -> Any:
    if not _ES256:
        _ES256.append(key_for("ES256"))
    return _ES256[0]


class Served:
    """One gateway for both modes: below `/jwt` and below `/jwt_then_introspection`."""

    def __init__(self, gateway: RunningGateway, provider: Any, backend: Any) -> None:
        self.gateway, self.provider, self.backend = gateway, provider, backend
        self._number = 0

    def claims(self, **more: Any) -> dict[str, Any]:
        self._number += 1
        now = time.time()
        claims = {"iss": self.provider.issuer, "sub": "alice", "iat": int(now), "exp": int(now) + 300}
        return {**claims, "jti": str(self._number), "scope": "a b", **more}

    async def status(self, mode: str, token: str) -> int:
        return (await self.gateway.get(f"/{mode}/x", token=token)).status

    async def evict(self, selector: dict[str, str] | None) -> None:
        await self.gateway.service._serving.purge(selector or {})


def settings(provider: Any, mode: str, **more: Any) -> dict[str, Any]:
    own = {"issuer": provider.issuer, "jwks_uri": provider.jwks_uri, "validation": mode}
    if mode != "jwt":
        own |= {"introspection_endpoint": provider.introspection_endpoint, "client_id": "gw", "client_auth": "none"}
    return {**own, **more}


def text_for(provider: Any, backend: Any, lane: str, ttl: str = "60s", **more: Any) -> str:
    identity = {"headers": {"X-User-Id": "sub", "X-Scopes": "scope", "X-Client-Id": "client_id"}}
    return configuration(
        providers={mode: settings(provider, mode, **more) for mode in MODES},
        routes=[
            {
                "name": mode,
                "match": {"path": f"/{mode}/**"},
                "backend": backend.url,
                "auth": {"provider": mode},
                "identity": identity,
            }
            for mode in MODES
        ],
        server={**lane_keys(lane), "unknown_tokens": None},
        cache={"ttl": ttl},
    )


@pytest_asyncio.fixture(**in_module)
async def served(backend, provider, lane):
    provider.keys = keys()
    provider.default = {"active": True, "sub": "alice", "token_type": "Bearer"}
    running = RunningGateway(text_for(provider, backend, lane))
    await running.start()
    yield Served(running, provider, backend)
    await running.stop()
    assert running.lines.errors == []


async def test_a_jwt_is_good_by_its_signature_and_its_own_claims_without_a_call(served):
    token = signed(served.claims(azp="web"))
    before = len(served.provider.introspections)
    for _ in range(3):
        assert await served.status("jwt", token) == 200
    assert len(served.provider.introspections) == before
    seen = served.backend.requests[-1]
    assert [seen.value(name) for name in ("X-User-Id", "X-Scopes", "X-Client-Id")] == ["alice", "a b", "web"]


async def test_then_introspection_has_the_last_word(served):
    token = signed(served.claims())
    before = len(served.provider.introspections)
    served.provider.answers[token] = {"active": True, "sub": "by introspection", "token_type": "Bearer"}
    for _ in range(3):
        assert await served.status("jwt_then_introspection", token) == 200
    assert len(served.provider.introspections) == before + 1
    assert served.backend.requests[-1].value("X-User-Id") == "by introspection"
    revoked = signed(served.claims())
    served.provider.answers[revoked] = {"active": False}
    assert await served.status("jwt_then_introspection", revoked) == 401


@pytest.mark.parametrize("said", [{}, {"exp": 99_999_999_999}], ids=["no exp", "a later exp"])
async def test_a_jwt_ends_by_its_own_exp_whatever_introspection_says_of_it(served, said):
    """`exp` is optional there (RFC 7662 §2.2). Facts that do not end would outlive the token in the cache."""
    token = signed(served.claims(exp=int(time.time()) + 2))
    served.provider.answers[token] = {"active": True, "sub": "alice", "token_type": "Bearer", **said}
    assert await served.status("jwt_then_introspection", token) == 200
    await asyncio.sleep(2.1)
    assert await served.status("jwt_then_introspection", token) == 401


async def test_an_opaque_token_is_refused_or_asked_about(served):
    before = len(served.provider.introspections)
    assert await served.status("jwt", "opaque") == 401
    assert await served.status("jwt", "a.b.c") == 401
    assert len(served.provider.introspections) == before
    assert await served.status("jwt_then_introspection", "opaque") == 200
    assert len(served.provider.introspections) == before + 1


def forgeries(served: Served) -> dict[str, str]:
    claims = served.claims
    now = time.time()
    good = signed(claims())
    head, payload, signature = good.split(".")
    other_payload = encoded(json.dumps(claims(sub="root")).encode())
    return {
        "another's key": signed(claims(), rsa_key(2)),
        "no signature": unsigned(claims()),
        "HS256 by the public key": forged_by_mac(claims()),
        "none with a signature": f"{NONE}.{payload}.{signature}",
        "other claims": f"{head}.{other_payload}.{signature}",
        "another kid": signed(claims(), rsa_key(2), kid="other"),
        "the kid of another type": signed(claims(), rsa_key(2), kid="e1"),
        "a key of its own": signed(claims(), rsa_key(2), jwk=jwk(rsa_key(2))),
        "a place for keys": signed(claims(), rsa_key(2), jku=f"{served.provider.url}/introspect/keys-of-another"),
        "a chain": signed(claims(), rsa_key(2), x5u=f"{served.provider.url}/introspect/chain", x5c=["c"]),
        "crit": signed(claims(), crit=["exp"]),
        "b64": signed(claims(), b64=False),
        "not asked for": signed(claims(), algorithm="RS512"),
        "huge": signed(claims(pad="x" * 20_000), rsa_key(2)),
        "a huge header": signed(claims(), pad="x" * 20_000),
        "two algorithms": f"{TWO_ALGORITHMS}.{payload}.{signature}",
        "expired": signed(claims(exp=now - 1)),
        "no exp": signed({name: value for name, value in claims().items() if name != "exp"}),
        "not yet valid": signed(claims(nbf=now + 60)),
        "issued in the future": signed(claims(iat=now + 60)),
        "nonsense times": signed(claims(iat="yesterday")),
        "another issuer": signed(claims(iss="https://other.example")),
        "an ID token": signed(claims(nonce="n")),
        "a refresh token": signed(claims(typ="Refresh")),
        "a logout token": signed(claims(), typ="logout+jwt"),
    }


async def test_a_forged_or_expired_jwt_is_401_and_nobody_is_asked_about_it(served):
    assert await served.status("jwt", signed(served.claims())) == 200  # the keys are there
    before = len(served.provider.introspections), len(served.provider.key_fetches), len(served.backend.requests)
    for mode in MODES:
        found = {what: await served.status(mode, token) for what, token in forgeries(served).items()}
        assert {what: status for what, status in found.items() if status != 401} == {}
    after = len(served.provider.introspections), len(served.provider.key_fetches), len(served.backend.requests)
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1] - before[1] <= 2  # once for each of the two providers
    assert all(call.path.partition("?")[0] in {"/keys", "/introspect"} for call in served.provider.calls)


async def test_the_reason_is_in_the_log_and_not_in_the_answer(served):
    token = signed(served.claims(), rsa_key(2), kid="other")
    answer = await served.gateway.get("/jwt/x", token=token)
    assert answer.status == 401
    assert b"kid" not in answer.body
    line = served.gateway.lines.requests[-1]
    assert "kid" in line["reason"]
    assert token not in json.dumps(served.gateway.lines.all)


async def test_an_eviction_in_mode_jwt_is_a_revocation_of_what_was_issued_before(served):
    for claim, value in (("sub", "bob"), ("sid", "s1"), ("client_id", "web")):
        token, again = (signed(served.claims(**{claim: value})) for _ in range(2))
        other = signed(served.claims(**{claim: f"not {value}"}))
        assert await served.status("jwt", token) == 200
        await served.evict({claim: value})
        assert await served.status("jwt", token) == 401
        assert await served.status("jwt", again) == 401, "first seen later, issued before"
        assert await served.status("jwt", other) == 200
        await asyncio.sleep(0.02)
        later = signed(served.claims(**{claim: value, "iat": time.time()}))
        assert await served.status("jwt", later) == 200, "issued after it"


async def test_a_token_or_a_jti_that_is_evicted_is_revoked_whenever_it_was_issued(served):
    ahead = time.time() - 0.001
    token = signed(served.claims(iat=ahead, jti="j1"))
    await served.evict({"jti": "j1"})
    assert await served.status("jwt", token) == 401
    private = key_for_es256()
    es256 = signed(served.claims(), private, "ES256", kid="e1")
    assert await served.status("jwt", es256) == 200
    await served.evict({"token": es256})
    assert await served.status("jwt", es256) == 401
    assert await served.status("jwt", _twin(es256)) == 401, "the same token with the signature's twin"


def _twin(token: str) -> str:
    """The other signature that ECDSA takes for the same text: (r, n - s)."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    text, _, signature = token.rpartition(".")
    data = base64.urlsafe_b64decode(signature + "==")
    s = order - int.from_bytes(data[32:], "big")
    return f"{text}.{encoded(data[:32] + s.to_bytes(32, 'big'))}"


async def test_the_twin_of_a_signature_is_good_where_nothing_was_revoked(served):
    """Otherwise the test before shows nothing."""
    token = signed(served.claims(), key_for_es256(), "ES256", kid="e1")
    assert await served.status("jwt", _twin(token)) == 200


async def test_an_eviction_of_everything_forgets_facts_and_keys_and_refuses_nobody(served):
    token = signed(served.claims())
    assert await served.status("jwt", token) == 200
    before = len(served.provider.key_fetches)
    await served.evict(None)
    assert await served.status("jwt", token) == 200
    assert len(served.provider.key_fetches) == before + 1


async def test_an_eviction_elsewhere_is_asked_about_again_and_no_revocation(served):
    token = signed(served.claims(sub="carol"))
    assert await served.status("jwt_then_introspection", token) == 200
    await served.evict({"sub": "alice"})
    before = len(served.provider.introspections)
    assert await served.status("jwt_then_introspection", token) == 200
    assert len(served.provider.introspections) == before + 1


NO_KEYS = {
    "an error": Reply(500, {}),
    "an empty set": {"keys": []},
    "keys for encryption": {"keys": [jwk(rsa_key(), use="enc")]},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("said", NO_KEYS)
async def test_keys_that_are_away_are_503_and_never_401(backend, provider, lane, mode, said):
    provider.keys = NO_KEYS[said]
    provider.default = {"active": True, "sub": "alice", "token_type": "Bearer"}
    gateway = RunningGateway(text_for(provider, backend, lane))
    await gateway.start()
    served = Served(gateway, provider, backend)
    before = len(backend.requests), len(provider.introspections)
    try:
        for token in (signed(served.claims()), signed(served.claims(), rsa_key(2)), signed(served.claims(), kid="x")):
            answer = await gateway.get(f"/{mode}/x", token=token)
            assert answer.status == 503
            assert answer.value("Retry-After")
        assert (len(backend.requests), len(provider.introspections)) == before
        provider.keys = keys()
        await asyncio.sleep(1.1)  # the pause after a fetch that failed
        assert await served.status(mode, signed(served.claims())) == 200
    finally:
        provider.keys = keys()
        await gateway.stop()


async def test_thousands_of_forged_jwts_cost_no_call_fill_nothing_and_push_out_nobody(served):
    """Ten thousand in a soak; here some hundreds, of each kind in turn."""
    good = signed(served.claims())
    assert await served.status("jwt", good) == 200
    known = signed(served.claims())
    assert await served.status("jwt_then_introspection", known) == 200
    local = served.gateway.service._serving._worker.generation.cache.local
    before = len(local), len(served.provider.introspections), len(served.provider.key_fetches)
    kinds = [name for name in forgeries(served) if name not in ("expired", "no exp", "not yet valid")]
    began_s, sent = time.process_time(), 0
    client = await served.gateway.client()
    for _ in range(12):
        made = forgeries(served)
        for name in kinds:
            for mode in MODES:
                await client.send(request("GET", f"/{mode}/x", token=made[name]))
                assert (await client.answer()).status == 401, name
                sent += 1
    spent_s = time.process_time() - began_s
    assert (len(local), len(served.provider.introspections)) == before[:2]
    assert len(served.provider.key_fetches) - before[2] <= 4
    assert await served.status("jwt", good) == await served.status("jwt_then_introspection", known) == 200
    assert spent_s / sent < 0.02, f"{spent_s / sent * 1e6:.0f} us of this process for each, signing included"


async def test_forged_jwts_are_charged_to_the_limit_on_unknown_tokens(backend, provider, lane):
    document = json.loads(text_for(provider, backend, lane))
    document["server"]["unknown_tokens"] = {"rate": 1, "burst": 5}
    gateway = RunningGateway(json.dumps(document))
    await gateway.start()
    served = Served(gateway, provider, backend)
    try:
        found = [await served.status("jwt", signed(served.claims(), rsa_key(2))) for _ in range(8)]
        assert found[:5] == [401] * 5
        assert set(found[6:]) == {429}
    finally:
        await gateway.stop()


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_goes_on_with_a_jwt_that_has_just_ended_is_not_taken_for_one_that_makes_them_up(
    backend, provider, lane, mode
):
    """It neither costs a signature nor shuts out others behind the same address."""
    document = json.loads(text_for(provider, backend, lane))
    document["server"]["unknown_tokens"] = {"rate": 1, "burst": 5}
    gateway = RunningGateway(json.dumps(document))
    await gateway.start()
    served = Served(gateway, provider, backend)
    try:
        ended = signed(served.claims(exp=int(time.time())))
        assert [await served.status(mode, ended) for _ in range(30)] == [401] * 30
        assert await served.status(mode, signed(served.claims())) == 200
    finally:
        await gateway.stop()


def realms_text(provider: Any, backend: Any, lane: str, mode: str) -> str:
    own = {
        "issuer": f"{provider.url}/realms/{{realm}}",
        "jwks_uri": f"{provider.url}/keys?realm={{realm}}",
        "validation": mode,
        "realms": ["a", "b"],
    }
    if mode != "jwt":
        own |= {"introspection_endpoint": f"{provider.url}/introspect?realm={{realm}}", "client_id": "gw"}
        own |= {"client_auth": "none"}
    route = {
        "name": "r",
        "match": {"path": "/**"},
        "backend": backend.url,
        "identity": {"headers": {"X-User-Id": "sub"}},
    }
    server = {**lane_keys(lane), "unknown_tokens": None}
    return configuration(providers={"sso": own}, routes=[route], server=server)


async def test_realms_are_told_apart_by_iss_and_their_keys_never_stand_in_for_each_other(backend, provider, lane):
    both = {"a": rsa_key(3), "b": rsa_key(4)}

    def answer(call):
        return {"keys": [jwk(both[call.path.rpartition("=")[2]])]}

    before, provider.keys = provider.keys, answer
    gateway = RunningGateway(realms_text(provider, backend, lane, "jwt"))
    await gateway.start()
    served = Served(gateway, provider, backend)
    try:
        for realm, key in both.items():
            issuer = f"{provider.url}/realms/{realm}"
            assert (await gateway.get("/", token=signed(served.claims(iss=issuer), key))).status == 200
            other = both["b" if realm == "a" else "a"]
            assert (await gateway.get("/", token=signed(served.claims(iss=issuer), other))).status == 401
        assert (
            await gateway.get("/", token=signed(served.claims(iss=f"{provider.url}/realms/c"), both["a"]))
        ).status == 401
        assert (await gateway.get("/", token="opaque")).status == 401
        assert {line["provider"] for line in gateway.lines.requests if line["status"] == 200} == {"sso"}
    finally:
        provider.keys = before
        await gateway.stop()


async def test_an_eviction_of_a_token_of_one_realm_leaves_that_of_the_other(backend, provider, lane):
    """`DELETE /cache` names no realm and means all; only the keys of facts are apart."""
    both = {"a": rsa_key(3), "b": rsa_key(4)}
    before = provider.keys
    provider.keys = lambda call: {"keys": [jwk(both[call.path.rpartition("=")[2]])]}
    gateway = RunningGateway(realms_text(provider, backend, lane, "jwt"))
    await gateway.start()
    served = Served(gateway, provider, backend)
    try:
        tokens = {
            realm: signed(served.claims(iss=f"{provider.url}/realms/{realm}"), key) for realm, key in both.items()
        }
        await served.evict({"token": tokens["a"]})
        assert (await gateway.get("/", token=tokens["a"])).status == 401
        assert (await gateway.get("/", token=tokens["b"])).status == 200
    finally:
        provider.keys = before
        await gateway.stop()


async def test_claims_are_taken_from_where_the_file_says(backend, provider, lane):
    document = json.loads(text_for(provider, backend, lane))
    for each in document["providers"].values():
        each["claims"] = {"scope": "scp", "roles": "https://e.com/roles", "client_id": "cid"}
    document["routes"][0]["auth"] |= {"scopes": ["a"], "roles": ["manager"]}
    document["routes"][0]["identity"]["headers"]["X-Roles"] = "roles"
    gateway = RunningGateway(json.dumps(document))
    await gateway.start()
    served = Served(gateway, provider, backend)
    try:
        moved = {"scp": ["a", "b"], "https://e.com/roles": ["manager"], "cid": "web", "scope": None}
        token = signed(without(served.claims(**moved), "scope"))
        assert await served.status("jwt", token) == 200
        seen = backend.requests[-1]
        fields = [seen.value(name) for name in ("X-Scopes", "X-Roles", "X-Client-Id")]
        assert fields == ["a b", "manager", "web"]
        usual = signed(served.claims(scope="a", realm_access={"roles": ["manager"]}))
        assert await served.status("jwt", usual) == 403, "a claim counts from its place only"
    finally:
        await gateway.stop()


async def test_a_list_of_scopes_without_its_place_written_is_503(served):
    assert await served.status("jwt", signed(served.claims(scope=["a"]))) == 503


async def test_with_redis_a_revocation_reaches_the_fleet_and_those_who_start_later(backend, provider, lane):
    provider.keys = keys()
    server = RedisServer()
    with running(server):
        document = json.loads(text_for(provider, backend, lane))
        document["cache"] = {"redis": server.url, "secret": "a-secret-for-the-fleet-of-jwts"}
        gateways, started_later = [RunningGateway(json.dumps(document)) for _ in range(3)], False
        try:
            first, second = (Served(gateway, provider, backend) for gateway in gateways[:2])
            for gateway in gateways[:2]:
                await gateway.start()
            token = signed(first.claims(sub="dora"))
            assert await first.status("jwt", token) == await second.status("jwt", token) == 200
            await first.evict({"sub": "dora"})
            await asyncio.sleep(1.0)
            assert await first.status("jwt", token) == await second.status("jwt", token) == 401
            await gateways[2].start()
            started_later = True
            assert await Served(gateways[2], provider, backend).status("jwt", token) == 401, "it starts later"
            assert await second.status("jwt", signed(second.claims(sub="dora", iat=time.time()))) == 200
        finally:
            for gateway in gateways[: 2 + started_later]:
                await gateway.stop()


async def test_whoever_revokes_made_up_tokens_ends_nobodys_and_pushes_out_no_revocation(backend, provider, lane):
    """A revocation endpoint takes any token (RFC 7009 §2.2). The text of a token without its signature is no secret."""
    document = json.loads(text_for(provider, backend, lane))
    route = {"name": "revoke", "match": {"path": "/revoke"}, "backend": backend.url, "auth": "none"}
    document["routes"].append({**route, "on_success": "evict_token"})
    gateway = RunningGateway(json.dumps(document))
    await gateway.start()
    served = Served(gateway, provider, backend)

    async def revoke(token: str) -> None:
        line = "Content-Type: application/x-www-form-urlencoded"
        answer = await gateway.ask(request("POST", "/revoke", line, body=f"token={token}".encode()), "POST")
        assert answer.status == 200

    revocations = gateway.service._serving._worker.generation.cache.revocations
    try:
        good = signed(served.claims())
        for made_up in ("opaque", f"{good.rpartition('.')[0]}.{encoded(b'0' * 256)}", unsigned(served.claims())):
            await revoke(made_up)
        assert revocations.count == 0
        assert await served.status("jwt", good) == 200
        early = signed(served.claims(nbf=time.time() + 1))
        await revoke(early)
        await revoke(good)
        assert await served.status("jwt", good) == 401
        await asyncio.sleep(1.1)
        assert await served.status("jwt", early) == 401, "it was revoked before it was valid"
    finally:
        await gateway.stop()
