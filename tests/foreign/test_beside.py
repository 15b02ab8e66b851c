"""nginx, HAProxy, Apache, Envoy, Caddy and Traefik as `deploy/beside` has them, asking a gateway about each request.

Whatever a client sends, the backend gets what the gateway has allowed, and no identity but the gateway's.
"""

import asyncio
import json

import aiohttp
import pytest
import yaml
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from support.beside import BESIDE, PROXIES, started
from support.dpop import Prover
from support.running_gateway import RunningGateway, configuration, provider_settings
from support.scripted_provider import ScriptedProvider
from support.signing import key_for
from support.wire import Client, request

CLIENT = "127.0.0.9"  # the proxies call the gateway from 127.0.0.1
BODY = bytes(range(256)) * 4096
ALICE = {
    "active": True,
    "sub": "alice",
    "username": "alice.b",
    "aud": "orders-api",
    "scope": "orders:read",
    "realm_access": {"roles": ["clerk"]},
}
TOKEN, NARROW = "token-of-alice", "token-without-scope"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Backend:
    """Keeps what reached it."""

    def __init__(self):
        self.seen = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        if request.path.endswith("/ws"):
            ws = web.WebSocketResponse()
            await ws.prepare(request)
            async for message in ws:
                if message.type is WSMsgType.TEXT:
                    await ws.send_str(f"{message.data} {request.headers['X-User-Id']}")
            return ws
        body = await request.read()
        return web.json_response({"fields": {n.lower(): v for n, v in request.headers.items()}, "bytes": len(body)})


@pytest.fixture
async def backend():
    recording = Backend()
    app = web.Application(client_max_size=2**22)
    app.router.add_route("*", "/{rest:.*}", recording.handle)
    async with TestServer(app, host="127.0.0.1") as server:
        recording.port = server.port
        yield recording


@pytest.fixture
async def provider():
    scripted = ScriptedProvider()
    await scripted.start()
    scripted.answers |= {TOKEN: ALICE, NARROW: {**ALICE, "scope": ""}}
    yield scripted
    await scripted.stop()


@pytest.fixture
async def gateway(provider):
    """As `deploy/beside/gateway.yaml` has it, but for its ports and its provider."""
    document = yaml.safe_load((BESIDE / "gateway.yaml").read_text())
    text = configuration(
        providers={"sso": provider_settings(provider)},
        routes=document["routes"],
        defaults=document["defaults"],
        decisions={"listen": "127.0.0.1:0"},
    )
    running = RunningGateway(text)
    await running.start()
    yield running
    await running.stop()
    assert running.lines.errors == []


@pytest.fixture(params=PROXIES)
async def proxy(request, gateway, backend, tmp_path):
    """Its name and its port."""
    async with started(request.param, tmp_path, gateway.decisions_address[1], backend.port) as port:
        yield request.param, port


@pytest.fixture
async def client(proxy):
    connector = aiohttp.TCPConnector(local_addr=(CLIENT, 0))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{proxy[1]}", connector=connector) as session:
        yield session


async def sent(proxy, *lines, target="/orders/7", **more):
    """The answer to bytes as they are."""
    async with await Client.of(("127.0.0.1", proxy[1])) as client:
        await client.send(request("GET", target, *lines, **more))
        return await client.answer()


def names(seen):
    return {value for _, value in seen.headers.items()}


async def test_without_a_token_the_client_gets_the_challenge_and_the_backend_nothing(client, proxy, backend):
    for headers in ({}, {"Authorization": "Bearer unknown"}):
        async with client.get("/orders/7", headers=headers) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="gateway"')
            if proxy[0] != "nginx":  # which does not have the body
                assert json.loads(await answer.text())["code"] in {"token_missing", "invalid_token"}
            if proxy[0] != "apache":  # which calls it text/html
                assert answer.content_type == ("text/html" if proxy[0] == "nginx" else "application/problem+json")
    assert backend.seen == []


async def test_a_good_token_is_let_in_and_named(client, gateway):
    before = len(gateway.lines.requests)
    async with client.get("/orders/7?a=b", headers={**BEARER, "DPoP": "a.b.c"}) as answer:
        assert answer.status == 200
        fields = (await answer.json())["fields"]
    assert (fields["x-user-id"], fields["x-user-name"], fields["x-roles"]) == ("alice", "alice.b", "clerk")
    assert not fields.get("authorization")
    assert not fields.get("dpop")
    line = await gateway.log_line(before + 1)
    assert (line["route"], line["method"], line["path"], line["client"]) == ("orders", "GET", "/orders/7", CLIENT)


THIEF = Prover(key=key_for("ES256", 8))


async def test_a_bound_token_passes_with_its_proof_for_the_port_of_the_client_and_is_useless_to_a_thief(
    client, proxy, provider, backend
):
    """The URL in a proof (htu, RFC 9449 §4.3) has the port that the client wrote, which each proxy has to tell."""
    owner, bound = Prover(), "token-that-is-bound"
    provider.answers[bound] = {**ALICE, "token_type": "DPoP", "cnf": {"jkt": owner.jkt}}
    url = f"http://127.0.0.1:{proxy[1]}/orders/7"
    stolen = {
        "as Bearer": {"Authorization": f"Bearer {bound}"},
        "without a proof": {"Authorization": f"DPoP {bound}"},
        "by another key": {"Authorization": f"DPoP {bound}", "DPoP": THIEF.proof("GET", url, bound)},
        "for another port": {
            "Authorization": f"DPoP {bound}",
            "DPoP": owner.proof("GET", "http://127.0.0.1:1/orders/7", bound),
        },
    }
    for passed in range(2):  # before the facts are remembered, and after
        for what, headers in stolen.items():
            async with client.get("/orders/7", headers=headers) as answer:
                assert answer.status == 401, what
        assert len(backend.seen) == passed
        own = {"Authorization": f"DPoP {bound}", "DPoP": owner.proof("GET", url, bound)}
        async with client.get("/orders/7", headers=own) as answer:
            assert answer.status == 200


FORGED = {"X-User-Id": "root", "X-User-Name": "root", "X-Roles": "root", "Authorization": "Bearer root"}


async def test_a_forged_identity_never_reaches_the_backend(client, backend):
    async with client.get("/public/x", headers=FORGED) as answer:
        assert answer.status == 200
    async with client.get("/account/x", headers={**FORGED, **BEARER}) as answer:
        assert (await answer.json())["fields"]["x-user-id"] == "alice"
    assert len(backend.seen) == 2
    assert not any("root" in value for one in backend.seen for value in names(one))


@pytest.mark.parametrize("name", ["X_User_Id", "X.User.Id", "X!User!Id", "XUserId", "x-user_id"])
async def test_nor_does_another_spelling_of_one(proxy, backend, name):
    await sent(proxy, f"{name}: root", target="/public/x")
    assert not any("root" in names(one) for one in backend.seen)


async def test_a_scope_that_is_missing_is_403(client, backend):
    async with client.get("/orders/7", headers={"Authorization": f"Bearer {NARROW}"}) as answer:
        assert answer.status == 403
        assert 'scope="orders:read"' in answer.headers["WWW-Authenticate"]
        assert len(answer.headers.getall("WWW-Authenticate")) == 1
    assert backend.seen == []


TELLING = [
    "X-Original-URL: http://shop.example/public/x",
    "X-Original-Method: GET",
    "X-Forwarded-Uri: /public/x",
    "X-Forwarded-Method: OPTIONS",
    "X-Forwarded-Host: other.example",
    "X_Forwarded_Uri: /public/x",
]


@pytest.mark.parametrize("lines", [*([line] for line in TELLING), TELLING[:2], TELLING[2:5]])
async def test_a_client_cannot_tell_of_another_request(proxy, backend, lines):
    assert (await sent(proxy, *lines)).status in {400, 401}
    assert backend.seen == []


async def test_nobody_can_tell_while_the_provider_is_away(client, provider, backend):
    await provider.stop()
    async with client.get("/orders/7", headers=BEARER) as answer:
        assert answer.status == 503
    assert backend.seen == []
    await provider.start()


async def test_nothing_passes_while_the_gateway_is_away(client, proxy, gateway, backend):
    await gateway.stop()
    for path in ("/orders/7", "/public/x"):
        async with client.get(path, headers=BEARER) as answer:
            assert answer.status >= 500
    assert backend.seen == []


async def test_a_websocket_is_let_in_with_a_token_only(client, backend):
    async with client.ws_connect("/account/ws", headers={**BEARER, "X-User-Id": "root"}) as ws:
        await ws.send_str("hello")
        assert await ws.receive_str() == "hello alice"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.ws_connect("/account/ws")
    assert refused.value.status == 401
    assert len(backend.seen) == 1


async def test_an_upload_passes_whole(client, backend):
    async def chunks():
        for start in range(0, len(BODY), 2**16):
            yield BODY[start : start + 2**16]
            await asyncio.sleep(0)

    for data in (BODY, chunks()):
        async with client.put("/orders/7", data=data, headers=BEARER) as answer:
            assert (await answer.json())["bytes"] == len(BODY)
    assert len(backend.seen) == 2


async def test_an_upload_without_a_token_is_refused(client, backend):
    async with client.put("/orders/7", data=b"x" * 1000) as answer:
        assert answer.status == 401
    assert backend.seen == []


AMBIGUOUS = [
    "//orders/7",
    "/public//../orders/7",
    "/public/../orders/7",
    "/public/%2e%2e/orders/7",
    "/public/..%2forders/7",
    "/public/%2e%2e%2forders%2f7",
    "/public/..;/orders/7",
    "/public/..%5corders/7",
    "/public/x;/../orders/7",
    "/public%2f..%2forders/7",
    "/public/%252e%252e/orders/7",
]
OPEN = {"/public/%252e%252e/orders/7", "/public/orders/7"}  # the second: Envoy resolves before it asks


@pytest.mark.parametrize("path", AMBIGUOUS)
async def test_a_path_that_two_could_read_differently_reaches_no_backend_as_another(proxy, backend, path):
    """What passes is what was decided about: a path below /public, whoever resolves it."""
    await sent(proxy, target=path)
    assert {one.raw_path for one in backend.seen} <= OPEN


async def test_a_path_that_the_proxy_resolves_is_decided_as_it_is_forwarded(proxy, backend):
    for path in AMBIGUOUS:
        await sent(proxy, target=path, token=TOKEN)
    assert {one.raw_path for one in backend.seen} <= {"/orders/7", *OPEN}
