"""Realms under one entry of the file: opaque tokens find theirs, and what happens in one leaves the others alone."""

import json
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import pytest_asyncio
from support.lanes import lane_keys
from support.running_gateway import ADMIN_TOKEN, RunningGateway, configuration
from support.scripted_provider import Reply
from support.signing import Issuer, jwk, rsa_key, signed
from support.wire import Client, request

in_module = {"scope": "module", "loop_scope": "module"}
pytestmark = pytest.mark.asyncio(loop_scope="module")
KEYS = {"a": rsa_key(3), "b": rsa_key(4)}
DOWN = Reply(500, {"error": "out of order"})
FORM = "Content-Type: application/x-www-form-urlencoded"


class Realms:
    """What each realm of the provider says of a token. None: the realm is out of order."""

    def __init__(self, provider):
        self.provider = provider
        self.facts = {"a": {}, "b": {}}
        self.asked = []
        provider.keys = lambda call: {"keys": [jwk(KEYS[realm_of(call)])]}
        provider.default = self._answer

    def issuer(self, realm):
        return f"{self.provider.url}/realms/{realm}"

    def give(self, realm, token, **claims):
        self.facts[realm][token] = {"active": True, "token_type": "Bearer", "iss": self.issuer(realm), **claims}

    def _answer(self, call):
        realm = realm_of(call)
        self.asked.append((realm, call.token))
        known = self.facts[realm]
        return DOWN if known is None else known.get(call.token, {"active": False})


def realm_of(call):
    return parse_qs(urlsplit(call.path).query)["realm"][0]


def document(provider, backend, lane):
    sso = {
        "issuer": f"{provider.url}/realms/{{realm}}",
        "jwks_uri": f"{provider.url}/keys?realm={{realm}}",
        "introspection_endpoint": f"{provider.url}/introspect?realm={{realm}}",
        "client_id": "gw",
        "client_auth": "none",
        "realms": ["a", "b"],
        "breaker": {"interval": "1h"},
    }
    route = {
        "name": "r",
        "match": {"path": "/**"},
        "backend": backend.url,
        "identity": {"headers": {"X-User-Id": "sub"}},
    }
    return configuration(
        providers={"sso": sso},
        routes=[route],
        server={**lane_keys(lane), "unknown_tokens": None},
        events={"repeat_after": []},
    )


@pytest_asyncio.fixture(**in_module)
async def realms(provider):
    before = provider.keys, provider.default
    yield Realms(provider)
    provider.keys, provider.default = before


@pytest_asyncio.fixture(loop_scope="module")
async def gateway(realms, provider, backend, lane):
    realms.facts = {"a": {}, "b": {}}
    realms.asked.clear()
    running = RunningGateway(document(provider, backend, lane))
    await running.start()
    yield running
    await running.stop()


async def told(gateway, path):
    """What the admin listener says."""
    host, _, port = gateway.admin_url.removeprefix("http://").rpartition(":")
    async with await Client.of((host, int(port))) as client:
        await client.send(request("GET", path, token=ADMIN_TOKEN, host="localhost"))
        return (await client.answer()).body.decode()


async def test_an_opaque_token_is_asked_of_each_realm_until_one_knows_it_and_then_is_remembered(
    gateway, realms, backend
):
    realms.give("a", "opaque-a", sub="alice")
    realms.give("b", "opaque-b", sub="alice")
    for _ in range(2):
        for token in ("opaque-a", "opaque-b"):
            assert (await gateway.get("/", token=token)).status == 200
            assert backend.requests[-1].value("X-User-Id") == "alice"
        assert (await gateway.get("/", token="opaque-c")).status == 401
    first = [("a", "opaque-a"), ("a", "opaque-b"), ("b", "opaque-b"), ("a", "opaque-c"), ("b", "opaque-c")]
    assert realms.asked == first
    assert {line["provider"] for line in gateway.lines.requests if line["status"] == 200} == {"sso"}


async def test_an_answer_of_one_realm_in_the_name_of_another_is_not_believed(gateway, realms, backend):
    """A realm is its tenant's. What its server says of a token of the other realm lets nobody in."""
    reached = len(backend.requests)
    realms.facts["a"]["opaque-b"] = {"active": True, "token_type": "Bearer", "iss": realms.issuer("b"), "sub": "root"}
    assert (await gateway.get("/", token="opaque-b")).status in {401, 403}
    assert len(backend.requests) == reached


async def test_while_one_realm_is_away_an_opaque_token_of_the_other_is_not_called_bad(gateway, realms, backend):
    gateway.expects_errors = True
    realms.facts["a"] = None
    realms.give("b", "opaque-b", sub="bob")
    found = await gateway.get("/", token="opaque-b")
    assert found.status == 200
    unknown = await gateway.get("/", token="opaque-c")
    assert unknown.status == 503, "realm a may know it"


async def test_an_event_in_one_realm_evicts_the_same_user_there_only(gateway, realms):
    realms.give("a", "opaque-a", sub="alice", sid="s1")
    realms.give("b", "opaque-b", sub="alice", sid="s1")
    for token in ("opaque-a", "opaque-b"):
        assert (await gateway.get("/", token=token)).status == 200
    for by, of, status in (("b", "a", 400), ("a", "a", 200)):
        body = urlencode({"logout_token": Issuer(realms.issuer(of), key=KEYS[by]).logout(sid="s1")}).encode()
        answer = await gateway.ask(request("POST", "/.gateway/events/backchannel-logout", FORM, body=body), "POST")
        assert answer.status == status, (by, of)
    realms.facts = {"a": {}, "b": {}}  # both tokens are revoked, and only of one was it told
    assert (await gateway.get("/", token="opaque-a")).status == 401
    assert (await gateway.get("/", token="opaque-b")).status == 200


async def test_the_breaker_of_an_entry_is_that_of_its_worst_realm(gateway, realms):
    gateway.expects_errors = True
    realms.facts["a"] = None

    def token(realm, number):
        return signed({"iss": realms.issuer(realm), "jti": str(number)}, KEYS[realm])

    for number in range(6):
        assert (await gateway.get("/", token=token("a", number))).status == 503
    good = token("b", 7)
    realms.give("b", good, sub="bob")
    assert (await gateway.get("/", token=good)).status == 200, "the other realm is asked as before"
    text = gateway.text
    for _ in range(2):  # a reload shows the breakers of all realms anew, the good one last
        metrics = await told(gateway, "/metrics")
        assert 'gateway_provider_breaker_state{provider="sso"} 2' in metrics
        assert 'gateway_provider_up{provider="sso"} 0' in metrics
        checks = json.loads(await told(gateway, "/health/ready"))["checks"]
        assert checks["breakers"] == {"sso": "open"}
        assert checks["provider_reasons"]["sso"].startswith("a: ")
        shown = json.loads(await told(gateway, "/status"))["providers"]
        assert [(one["name"], one["breaker"], one["reason"][:3]) for one in shown] == [("sso", "open", "a: ")]
        assert await gateway.reload(text.replace('"sub"', '["sub", "username"]'))
