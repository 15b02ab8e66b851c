"""Events at a running gateway of one process: the two paths, what they do to tokens, and how they hold up."""

import asyncio
import json
import secrets
import time
from types import SimpleNamespace
from urllib.parse import urlencode

import aiohttp
import pytest
from support.backend import HANG, RESET, Pause, ok, script
from support.running_gateway import ADMIN_TOKEN, RunningGateway, configuration, eventually, provider_settings
from support.signing import Issuer, jwk, key_for, rsa_key, signed
from support.wire import BrokenOffError, Client, request

from gateway.events.event_receiver import NotEverywhereError
from gateway.provider import signing_keys
from gateway.proxy.downstream.reclaiming import Reclaimable
from gateway.runtime import event_endpoint
from gateway.runtime.invalidation_broadcaster import InvalidationBroadcaster

LOGOUT = "/.gateway/events/backchannel-logout"
EVENTS = "/.gateway/events/security-events"
FORM = "Content-Type: application/x-www-form-urlencoded"
SET = "Content-Type: application/secevent+jwt"


@pytest.fixture
def issuer(provider):
    provider.keys = {"keys": [jwk(rsa_key())]}
    return Issuer(provider.issuer)


@pytest.fixture
async def gateway(serve, provider, issuer):
    keys = {"issuer": provider.issuer, "jwks_uri": provider.jwks_uri}
    return await serve(events={"repeat_after": []}, provider_keys=keys)


def form(token):
    return urlencode({"logout_token": token}).encode()


async def logout(gateway, token, *lines, path=LOGOUT):
    return await gateway.ask(request("POST", path, FORM, *lines, body=form(token)), "POST")


async def event(gateway, token, *lines):
    return await gateway.ask(request("POST", EVENTS, SET, *lines, body=token.encode()), "POST")


async def until_refused(gateway):
    async with asyncio.timeout(10):
        while (await gateway.get("/api/x", token="good")).status != 401:  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("way", ["logout", "event"])
async def test_after_an_event_the_provider_is_asked_again_and_its_answer_counts(gateway, provider, issuer, way):
    assert (await gateway.get("/api/x", token="good")).status == 200
    assert (await gateway.get("/api/x", token="good")).status == 200
    answer = await (logout(gateway, issuer.logout()) if way == "logout" else event(gateway, issuer.event()))
    assert (answer.status, answer.body) == (200 if way == "logout" else 202, b"")
    assert answer.value("Cache-Control") == "no-store"
    assert answer.value("X-Request-Id")
    assert (await gateway.get("/api/x", token="good")).status == 200  # the provider still says so
    assert len(provider.introspections) == 2
    provider.answers["good"] = {"active": False}
    await (logout(gateway, issuer.logout()) if way == "logout" else event(gateway, issuer.event()))
    assert (await gateway.get("/api/x", token="good")).code == "invalid_token"


@pytest.mark.parametrize(
    ("claims", "subject"),
    [
        ({"sid": "s1"}, {"sid": "s1", "sub": None}),
        ({"sub": "alice"}, {"sub": "alice"}),
    ],
)
async def test_only_those_who_are_named_are_asked_about_again(gateway, provider, issuer, claims, subject):
    provider.answers["good"] = {"active": True, "sub": "alice", "sid": "s1"}
    provider.answers["bob"] = {"active": True, "sub": "bob", "sid": "s2"}
    for token in ("good", "bob"):
        await gateway.get("/api/x", token=token)
    await logout(gateway, issuer.logout(**subject))
    for token in ("good", "bob"):
        await gateway.get("/api/x", token=token)
    assert [call.token for call in provider.introspections] == ["good", "bob", "good"]


@pytest.mark.parametrize(
    ("kind", "value", "sub_id"),
    [
        ("jti", "j1", lambda iss: {"format": "jwt_id", "iss": iss, "jti": "j1"}),
        ("email", "Alice@example.com", lambda _: {"format": "email", "email": "alice@example.com"}),
        ("client_id", "web", lambda _: {"format": "complex", "application": {"format": "opaque", "id": "web"}}),
        ("sid", "s1", lambda _: {"format": "complex", "session": {"format": "opaque", "id": "s1"}}),
        ("sid", "s1", lambda _: {"format": "opaque", "id": "s1"}),
    ],
)
async def test_whatever_a_token_is_named_by(gateway, provider, issuer, kind, value, sub_id):
    provider.answers["good"] = {"active": True, "sub": "alice", kind: value}
    await gateway.get("/api/x", token="good")
    assert (await event(gateway, issuer.event(sub_id=sub_id(issuer.issuer)))).status == 202
    await gateway.get("/api/x", token="good")
    assert len(provider.introspections) == 2


@pytest.mark.parametrize("selector", ["sid", "jti", "client_id", "email"])
async def test_an_operator_evicts_by_the_same_claims(gateway, provider, selector):
    provider.answers["good"] = {"active": True, "sub": "alice", selector: "it"}
    await gateway.get("/api/x", token="good")
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with (
        aiohttp.ClientSession() as session,
        session.delete(f"{gateway.admin_url}/cache", json={selector: "it"}, headers=headers) as answer,
    ):
        assert await answer.json() == {"evicted": 1}


async def test_an_answer_asked_for_before_an_event_is_not_kept(gateway, provider, issuer):
    provider.delay_s = 0.5
    early = asyncio.create_task(gateway.get("/api/x", token="good"))
    await eventually(lambda: provider.introspections)
    provider.delay_s = 0.0
    await logout(gateway, issuer.logout())
    assert (await early).status == 200
    provider.answers["good"] = {"active": False}
    assert (await gateway.get("/api/x", token="good")).status == 401


async def test_without_events_no_path_is_taken(serve, backend):
    gateway = await serve([{"name": "all", "match": {"path": "/**"}, "backend": backend.url, "auth": "none"}])
    assert (await gateway.ask(request("POST", LOGOUT, FORM, body=b"x=y"), "POST")).status == 200
    assert backend.requests[-1].target == LOGOUT


async def test_a_catch_all_route_gets_nothing_under_the_prefix(serve, backend, provider, issuer):
    keys = {"issuer": provider.issuer, "jwks_uri": provider.jwks_uri}
    routes = [{"name": "all", "match": {"path": "/**"}, "backend": backend.url, "auth": "none"}]
    gateway = await serve(routes, events={"prefix": "/hooks"}, provider_keys=keys)
    assert (await logout(gateway, issuer.logout(), path="/hooks/backchannel-logout")).status == 200
    for target in ("/hooks", "/hooks/", "/hooks/other", "/hooks/backchannel-logout/", "/%68ooks/security-events/x"):
        assert (await gateway.ask(request("POST", target, FORM, body=b"a=b"), "POST")).code == "no_route"
    assert (await gateway.get("/hooksx")).status == 200
    assert [one.target for one in backend.requests] == ["/hooksx"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", [LOGOUT, EVENTS])
async def test_another_method_is_405(gateway, method, path):
    answer = await gateway.ask(request(method, path), method)
    assert (answer.status, answer.value("Allow")) == (405, "POST")


async def test_a_prefix_in_other_spelling_is_the_same(gateway, issuer):
    assert (await logout(gateway, issuer.logout(), path="/%2egateway/event%73/backchannel-logout")).status == 200
    assert (await logout(gateway, issuer.logout(), path=LOGOUT + "?a=b")).status == 200


async def test_a_body_in_chunks_and_one_that_waits_for_100(gateway, issuer):
    body = form(issuer.logout())
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])) + b"0\r\n\r\n"
    answer = await gateway.ask(request("POST", LOGOUT, FORM, "Transfer-Encoding: chunked") + chunks, "POST")
    assert answer.status == 200
    async with await Client.of(gateway.address) as client:
        body = form(issuer.logout())
        await client.send(request("POST", LOGOUT, FORM, "Expect: 100-continue", f"Content-Length: {len(body)}"))
        await asyncio.sleep(0.05)
        await client.send(body)
        answer = await client.answer("POST")
    assert ([one.status for one in answer.interim], answer.status) == ([100], 200)


async def test_a_kept_connection_goes_on_after_an_answer(gateway, issuer):
    async with await Client.of(gateway.address) as client:
        for status, body in ((200, form(issuer.logout())), (400, b"junk"), (200, form(issuer.logout()))):
            await client.send(request("POST", LOGOUT, FORM, body=body))
            assert (await client.answer("POST")).status == status


async def test_a_refusal_is_told_to_the_sender_counted_and_logged(gateway, issuer):
    answer = await event(gateway, issuer.event(aud="other"))
    assert json.loads(answer.body)["err"] == "invalid_audience"
    assert (await logout(gateway, issuer.logout())).status == 200
    line = await gateway.log_line(1)
    assert (line["status"], line["code"], line["route"]) == (400, "invalid_request", "none")
    assert "somebody else" in line["reason"]
    async with aiohttp.ClientSession() as session, session.get(f"{gateway.admin_url}/metrics") as scrape:
        text = await scrape.text()
    assert 'gateway_security_events_total{event="other",outcome="refused",provider="none"} 1.0' in text
    assert 'gateway_security_events_total{event="logout",outcome="evicted",provider="p"} 1.0' in text
    assert 'gateway_security_events_total{event="logout",outcome="unclear",provider="p"} 0.0' in text
    told = [line for line in gateway.lines.all if line["event"] == "security_event"]
    assert [(one["provider"], one["outcome"]) for one in told] == [("none", "refused"), ("p", "evicted")]


async def test_explain_says_that_the_gateway_answers_itself(gateway):
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    question = {"method": "POST", "url": EVENTS}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{gateway.admin_url}/explain", json=question, headers=headers) as answer,
    ):
        told = await answer.json()
    assert (told["decision"], told["route"]) == ("allow", None)
    assert told["steps"][-1] == "answered: an event of a provider, by the gateway itself"


async def test_keys_are_discovered_where_they_are_not_named(serve, provider, issuer):
    provider.discovery = provider.metadata(jwks_uri=provider.jwks_uri)
    gateway = await serve(events={}, provider_keys={"issuer": provider.issuer})
    assert (await logout(gateway, issuer.logout())).status == 200
    assert (await logout(gateway, issuer.logout())).status == 200
    assert len(provider.key_fetches) == 1


async def test_a_provider_whose_keys_cannot_be_had_is_503(serve, provider, issuer):
    provider.keys = None
    keys = {"issuer": provider.issuer, "jwks_uri": provider.jwks_uri}
    gateway = await serve(events={}, provider_keys=keys)
    answer = await logout(gateway, issuer.logout())
    assert (answer.status, answer.code) == (503, "event_unavailable")
    assert int(answer.value("Retry-After")) >= 1


async def test_an_eviction_is_repeated_because_a_provider_may_tell_before_it_acts(serve, provider, issuer):
    keys = {"issuer": provider.issuer, "jwks_uri": provider.jwks_uri}
    gateway = await serve(events={"repeat_after": ["300ms"]}, provider_keys=keys)
    await gateway.get("/api/x", token="good")
    assert (await logout(gateway, issuer.logout())).status == 200
    assert (await gateway.get("/api/x", token="good")).status == 200  # the provider has not got round to it
    provider.answers["good"] = {"active": False}
    await until_refused(gateway)


async def test_a_reload_keeps_what_was_seen_and_follows_the_prefix(gateway, issuer):
    token = issuer.logout()
    assert (await logout(gateway, token)).status == 200
    document = json.loads(gateway.text)
    document["events"] = {"prefix": "/elsewhere"}
    assert await gateway.reload(json.dumps(document))
    assert (await logout(gateway, issuer.logout())).status == 404
    assert (await logout(gateway, token, path="/elsewhere/backchannel-logout")).status == 400
    assert (await logout(gateway, issuer.logout(), path="/elsewhere/backchannel-logout")).status == 200
    del document["events"]
    assert await gateway.reload(json.dumps(document))
    assert (await logout(gateway, issuer.logout(), path="/elsewhere/backchannel-logout")).status == 404


async def test_two_providers_have_subjects_of_their_own(serve, backend, provider, issuer):
    other = Issuer("https://other", key=rsa_key(2))
    provider.answers["good"] = provider.answers["other"] = {"active": True, "sub": "alice"}
    routes = [
        {"name": name, "match": {"path": f"/{name}"}, "backend": backend.url, "auth": {"provider": name}}
        for name in ("p", "q")
    ]
    more = {"jwks_uri": provider.jwks_uri}
    text = configuration(
        providers={
            "p": provider_settings(provider, issuer=provider.issuer, **more),
            "q": provider_settings(provider, issuer="https://other", **more),
        },
        routes=routes,
        events={},
    )
    provider.keys = {"keys": [jwk(rsa_key()), jwk(rsa_key(2), "k2")]}
    gateway = RunningGateway(text)
    await gateway.start()
    try:
        for path in ("/p", "/q"):
            await gateway.get(path, token="good")
        token = signed(other.logout_claims(), rsa_key(2), kid="k2", typ="logout+jwt")
        assert (await logout(gateway, token)).status == 200
        await gateway.get("/p", token="good")
        assert len(provider.introspections) == 2
        await gateway.get("/q", token="good")
        assert len(provider.introspections) == 3
    finally:
        await gateway.stop()


class TestRevocationThatPasses:
    @pytest.fixture
    async def gateway(self, serve, backend):
        routes = [
            {
                "name": "revoke",
                "match": {"path": "/revoke"},
                "backend": backend.url,
                "auth": "none",
                "on_success": "evict_token",
            },
            {"name": "api", "match": {"path": "/api/**"}, "backend": backend.url},
        ]
        return await serve(routes)

    async def revoke(self, gateway, body=b"token=good&token_type_hint=access_token", *lines):
        return await gateway.ask(request("POST", "/revoke", *(lines or (FORM,)), body=body), "POST")

    async def test_what_the_provider_took_is_forgotten_before_the_client_hears_of_it(self, gateway, backend, provider):
        await gateway.get("/api/x", token="good")
        provider.answers["good"] = {"active": False}
        backend.default = script(ok())
        assert (await self.revoke(gateway)).status == 200
        assert backend.requests[-1].body == b"token=good&token_type_hint=access_token"
        assert (await gateway.get("/api/x", token="good")).code == "invalid_token"

    @pytest.mark.parametrize("status", [400, 401, 500, 503, 302])
    async def test_what_the_provider_did_not_take_is_kept(self, gateway, backend, provider, status):
        await gateway.get("/api/x", token="good")
        backend.default = script(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
        assert (await self.revoke(gateway)).status == status
        await gateway.get("/api/x", token="good")
        assert len(provider.introspections) == 1

    @pytest.mark.parametrize(
        ("body", "lines", "status"),
        [
            (b"token=a&token=b", (FORM,), 400),
            (b"token=", (FORM,), 400),
            (b"other=a", (FORM,), 400),
            (b"", (FORM,), 400),
            (b"token=%zz", (FORM,), 400),
            (b'{"token": "good"}', ("Content-Type: application/json",), 415),
            (b"token=good", ("X-No: type",), 415),
            (b"token=good", (FORM, FORM), 400),
            (b"token=good", (FORM, "Content-Encoding: gzip"), 415),
            (b"token=good", (FORM + "; charset=utf-16",), 415),
            (b"token=" + b"a" * 16384, (FORM,), 413),
        ],
    )
    async def test_what_it_cannot_read_does_not_go_on(self, gateway, backend, body, lines, status):
        answer = await self.revoke(gateway, body, *lines)
        assert (answer.status, answer.problem["status"]) == (status, status)
        assert backend.requests == []

    async def test_a_body_without_a_length_is_held_to_the_same_bound(self, gateway, backend):
        chunk = b"1000\r\n" + b"a" * 4096 + b"\r\n"
        wire = request("POST", "/revoke", FORM, "Transfer-Encoding: chunked") + chunk * 5 + b"0\r\n\r\n"
        assert (await gateway.ask(wire, "POST")).status == 413
        assert backend.requests == []

    async def test_other_methods_pass_as_ever(self, gateway, backend):
        assert (await gateway.get("/revoke")).status == 200

    async def test_a_revocation_whose_answer_nobody_saw_is_taken_for_one(self, gateway, backend, provider):
        await gateway.get("/api/x", token="good")
        before = len(backend.requests)
        backend.default = script(HANG)
        async with await Client.of(gateway.address) as client:
            await client.send(request("POST", "/revoke", FORM, body=b"token=good"))
            await eventually(lambda: len(backend.requests) > before)
        backend.default = script(ok())
        provider.answers["good"] = {"active": False}
        await until_refused(gateway)

    async def test_an_answer_in_pieces_arrives_whole_once_it_may(self, gateway, backend):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
        backend.default = script(head, b"2\r\nab\r\n", Pause(0.05), *[chunk] * 20, b"0\r\n\r\n")
        for _ in range(2):  # over the same connection to the backend
            answer = await self.revoke(gateway)
            assert (answer.status, answer.body) == (200, b"ab" + b"a" * 65536 * 20)

    async def test_one_that_breaks_off_does_not_look_whole(self, gateway, backend):
        backend.default = script(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", RESET)
        with pytest.raises(BrokenOffError):
            await self.revoke(gateway)

    async def test_a_network_that_revokes_what_nobody_knows_is_charged_for_each(
        self, gateway, backend, provider, monkeypatch
    ):
        told = []
        broadcast = InvalidationBroadcaster.broadcast

        async def count(broadcaster, invalidation):
            told.append(invalidation)
            await broadcast(broadcaster, invalidation)

        monkeypatch.setattr(InvalidationBroadcaster, "broadcast", count)
        await gateway.get("/api/x", token="good")
        document = json.loads(gateway.text)
        document["server"]["unknown_tokens"] = {"rate": 1, "burst": 3}
        assert await gateway.reload(json.dumps(document))
        backend.default = script(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")
        for number in range(10):  # what the provider refuses is no order, and costs nothing
            assert (await self.revoke(gateway, b"token=refused-%d" % number)).status == 400
        backend.default = script(ok())
        before = len(backend.requests)
        answers = [await self.revoke(gateway, b"token=junk-%d" % number) for number in range(30)]
        statuses = [answer.status for answer in answers]
        assert statuses[:3] == [200] * 3
        assert {answer.code for answer in answers if answer.status == 429} == {"rate_limited"}
        assert len(told) == len(backend.requests) - before == statuses.count(200) <= 3 + 10
        provider.answers["good"] = {"active": False}
        assert (await self.revoke(gateway)).status == 200  # this token is known
        assert (await gateway.get("/api/x", token="good")).status in {401, 429}

    async def test_where_it_may_still_be_remembered_that_is_the_answer(self, gateway, backend, monkeypatch):
        async def fail(*_):
            raise NotEverywhereError("a worker is stuck")

        monkeypatch.setattr(InvalidationBroadcaster, "broadcast", fail)
        for steps in ([ok(b"done")], [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", HANG]):
            backend.default = script(*steps)
            refused = await self.revoke(gateway)
            assert (refused.status, refused.code, refused.value("Retry-After")) == (503, "eviction_unavailable", "1")
        backend.default = script(ok())
        assert (await gateway.get("/api/x", token="good")).status == 200

    async def test_the_client_waits_for_it_and_may_leave_meanwhile(self, gateway, backend, monkeypatch):
        began, go_on = asyncio.Event(), asyncio.Event()

        async def take_time(*_):
            began.set()
            await go_on.wait()

        monkeypatch.setattr(InvalidationBroadcaster, "broadcast", take_time)
        backend.default = script(ok(b"done"))
        asking = asyncio.create_task(self.revoke(gateway))
        await began.wait()
        await asyncio.sleep(0.05)
        assert not asking.done()
        go_on.set()
        assert (await asking).body == b"done"
        began.clear()
        go_on.clear()
        backend.default = script(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", HANG)
        async with await Client.of(gateway.address) as client:
            await client.send(request("POST", "/revoke", FORM, body=b"token=good"))
            await began.wait()
        await eventually(lambda: gateway.service._observation.requests_in_flight == 0)
        backend.default = script(ok())
        go_on.set()
        assert (await self.revoke(gateway)).status == 200


async def test_events_come_from_the_networks_that_are_named_and_from_no_other(serve, provider, issuer):
    keys = {"issuer": provider.issuer, "jwks_uri": provider.jwks_uri}
    gateway = await serve(events={"repeat_after": [], "from": ["127.0.0.2", "::ffff:0:0/96"]}, provider_keys=keys)

    async def deliver(source):
        reader, writer = await asyncio.open_connection(*gateway.address, local_addr=(source, 0))
        writer.write(request("POST", LOGOUT, FORM, body=form(issuer.logout())))
        answer = await Client(reader, writer).answer("POST")
        writer.close()
        return answer

    assert (await deliver("127.0.0.2")).status == 200
    refused = await deliver("127.0.0.3")
    assert (refused.status, refused.code) == (403, "forbidden")
    counted = gateway.service._observation.snapshot()["counters"]["gateway_security_events_total"]
    assert [["none", "other", "refused"], 1] in counted


async def test_keycloaks_admin_pushes_evict_and_a_not_before_refuses_what_is_first_seen_later(
    gateway, provider, issuer
):
    now = int(time.time())

    async def push(path, **more):
        claims = {"id": secrets.token_hex(8), "expiration": now + 30, "resource": "gw", **more}
        body = signed(claims, typ="JWT").encode()
        return await gateway.ask(request("POST", f"/.gateway/events/keycloak/{path}", body=body), "POST")

    for token, issued_at in (("good", now - 100), ("unseen", now - 100), ("newer", now)):
        provider.answers[token] = {"active": True, "sub": "alice", "sid": "s1", "iat": issued_at}
    assert (await gateway.get("/api/x", token="good")).status == 200
    for named in ({"keycloakSessionIds": ["s1"]}, {}):
        asked = len(provider.introspections)
        answer = await push("k_logout", action="LOGOUT", notBefore=0, **named)
        assert (answer.status, answer.body) == (204, b"")
        assert (await gateway.get("/api/x", token="good")).status == 200  # the provider still says so
        assert len(provider.introspections) == asked + 1
    assert (await push("k_push_not_before", action="PUSH_NOT_BEFORE", notBefore=now - 10)).status == 204
    for token in ("good", "unseen"):
        assert (await gateway.get("/api/x", token=token)).code == "invalid_token"
    assert (await gateway.get("/api/x", token="newer")).status == 200
    assert await gateway.reload(gateway.text.replace('"repeat_after": []', '"repeat_after": ["1s"]'))
    assert (await gateway.get("/api/x", token="unseen")).code == "invalid_token"
    assert (await push("k_push_not_before", action="LOGOUT", notBefore=now)).status == 400
    assert (await gateway.ask(request("GET", "/.gateway/events/keycloak/k_logout"))).code == "method_not_allowed"
    assert (await gateway.ask(request("POST", "/.gateway/events/keycloak/k_version", body=b""), "POST")).status == 404


async def test_an_event_whose_key_is_published_after_the_answer_is_acted_on(gateway, provider, issuer, monkeypatch):
    """As Keycloak does with the first key of a new algorithm; it does not send the event again."""
    monkeypatch.setattr(event_endpoint, "_RETRY_AFTER_S", (0.3, 0.6))
    monkeypatch.setattr(signing_keys, "_QUIET_S", 0.1)
    assert (await gateway.get("/api/x", token="good")).status == 200
    newer = key_for("ES256")
    token = signed(issuer.logout_claims(), newer, "ES256", typ="logout+jwt", kid="k2")
    assert (await logout(gateway, token)).status == 400
    provider.keys = {"keys": [jwk(rsa_key()), jwk(newer, "k2")]}
    provider.answers["good"] = {"active": False}
    await until_refused(gateway)


async def test_a_body_whose_time_is_over_gives_way_without_harm_to_the_one_that_comes(monkeypatch):
    class Silent:
        received_bytes, fault = 0, None

        def __init__(self, *_):
            pass

        def whole(self):
            return None

        async def chunks(self):
            yield await asyncio.sleep(10, b"")

    monkeypatch.setattr(event_endpoint, "RequestBody", Silent)
    monkeypatch.setattr(event_endpoint, "_BODY_S", 0.05)
    loop, bodies, taken = asyncio.get_running_loop(), Reclaimable(10, 1), []
    request, exchange = SimpleNamespace(content_length=None), SimpleNamespace()
    reading = loop.create_task(event_endpoint.read_body(request, 100, exchange, bodies, "192.0.2.1"))
    await asyncio.sleep(0.01)
    loop.call_later(0.05, lambda: taken.append(bodies.take("192.0.2.1", list)))
    time.sleep(0.1)  # noqa: ASYNC251 - both fall due in one turn of the loop, as on a busy one
    assert (await reading).code == "request_timeout"
    assert len(taken) == len(bodies) == 1
