"""What a real Keycloak sends when a session ends, and what the gateway makes of it: `cache.ttl` is an hour here."""

import asyncio
import time

import pytest
from aiohttp import web
from support.backend import Backend
from support.keycloak import ADMIN as ADMINISTRATOR
from support.processes import ServedGateway
from support.redis_server import free_port
from support.running_gateway import ADMIN_TOKEN, eventually
from support.wire import Client, request
from support.workers import client_of_each

from gateway.authn.bearer import Token
from gateway.provider.grants import Password, RefreshToken

ALICE = Password("alice", "alice")
BOB = Password("bob", "bob")
PROTOCOL = "/realms/demo/protocol/openid-connect"


@pytest.fixture
async def administrator(http, keycloak):
    """Asks Keycloak's admin interface about the realm."""
    form = {"client_id": "admin-cli", "grant_type": "password", "username": ADMINISTRATOR, "password": ADMINISTRATOR}
    async with http.post(f"{keycloak.server}/realms/master/protocol/openid-connect/token", data=form) as response:
        headers = {"Authorization": f"Bearer {(await response.json())['access_token']}"}

    async def ask(method, path, **more):
        url = f"{keycloak.server}/admin/realms/demo{path}"
        async with http.request(method, url, headers=headers, **more) as response:
            assert response.status < 300, await response.text()
            return await response.json() if response.content_type == "application/json" else None

    return ask


@pytest.fixture
async def name_logout_url(administrator):
    """Sets it at the application's client, as an administrator would."""

    async def name(url, admin_url=""):
        [client] = await administrator("GET", "/clients?clientId=demo-app")
        client["attributes"] |= {
            "backchannel.logout.url": url,
            "backchannel.logout.session.required": "true",
            "backchannel.logout.revoke.offline.tokens": "true",  # adds a member to `events` that is no object
        }
        client["adminUrl"] = admin_url
        await administrator("PUT", f"/clients/{client['id']}", json=client)

    return name


def logout_url(gateway):
    return f"http://127.0.0.1:{gateway.address[1]}/.gateway/events/backchannel-logout"


@pytest.fixture
async def gate(keycloak, name_logout_url, tmp_path):
    """A gateway of two workers that the application's client names as where its logouts go."""
    backend = Backend()
    await backend.start()
    document = {
        "server": {"listen": f"127.0.0.1:{free_port()}", "workers": 2},
        "admin": {"listen": f"127.0.0.1:{free_port()}", "token": ADMIN_TOKEN},
        "providers": {
            "keycloak": {
                "issuer": keycloak.issuer,
                "client_id": "gateway",
                "client_secret": "demo-gateway-secret",
                "timeout": "60s",
                "events": {"audience": "demo-app"},
            }
        },
        "cache": {"ttl": "1h"},
        "events": {},
        "routes": [
            {"name": "orders", "match": {"path": "/orders/**"}, "backend": backend.url},
            {
                "name": "revoke",
                "match": {"path": "/revoke", "methods": ["POST"]},
                "backend": keycloak.server,
                "rewrite": f"{PROTOCOL}/revoke",
                "auth": "none",
                "authorization": "keep",
                "on_success": "evict_token",
            },
        ],
    }
    gateway = ServedGateway("gateway", tmp_path, document)
    try:
        await gateway.start()
        await name_logout_url(logout_url(gateway), f"http://127.0.0.1:{gateway.address[1]}/.gateway/events/keycloak")
        yield gateway
    finally:
        await gateway.stop()
        await backend.stop()


@pytest.fixture
async def workers(gate):
    clients = await client_of_each(gate)
    yield list(clients.values())
    for client in clients.values():
        await client.close()


async def statuses(workers, tokens):
    found = []
    for client in workers:
        await client.send(request("GET", "/orders/1", token=tokens["access_token"]))
        found.append((await client.answer()).status)
    return found


async def until_refused(workers, tokens, within_s=15.0):
    """How long it took until no worker let the token pass, which is asked for all the time."""
    began = time.monotonic()
    while await statuses(workers, tokens) != [401, 401]:
        assert time.monotonic() - began < within_s, "it still passes"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def log_out(http, keycloak, tokens):
    form = {"client_id": "demo-app", "client_secret": "demo-app-secret", "refresh_token": tokens["refresh_token"]}
    async with http.post(f"{keycloak.issuer}/protocol/openid-connect/logout", data=form) as response:
        assert response.status == 204


async def test_who_logs_out_is_refused_and_nobody_else(app, gate, workers, http, keycloak):
    alice, bob = await app.token(ALICE), await app.token(BOB)
    for tokens in (alice, bob):
        assert await statuses(workers, tokens) == [200, 200]
        assert await statuses(workers, tokens) == [200, 200]
    await log_out(http, keycloak, alice)
    await until_refused(workers, alice)
    assert await statuses(workers, bob) == [200, 200]
    await eventually(lambda: bool(gate.events("security_event")))  # lines are written in batches
    [told] = gate.events("security_event")[:1]
    assert (told["provider"], told["events"], told["outcome"]) == ("keycloak", "logout", "evicted")


async def test_a_token_in_constant_use_does_not_outlive_its_session(
    app, gate, workers, http, keycloak, name_logout_url, aiohttp_server
):
    """Keycloak tells its clients one after another and ends the session after the last: the eviction is too early."""

    async def pass_on_and_take_time(taken):
        async with http.post(logout_url(gate), data=await taken.post()) as response:
            evicted.set()
            await asyncio.sleep(0.5)
            return web.Response(status=response.status)

    evicted = asyncio.Event()
    slow = web.Application()
    slow.router.add_post("/logout", pass_on_and_take_time)
    server = await aiohttp_server(slow)
    await name_logout_url(str(server.make_url("/logout")))
    tokens = await app.token(ALICE)
    assert await statuses(workers, tokens) == [200, 200]
    logging_out = asyncio.create_task(log_out(http, keycloak, tokens))
    await evicted.wait()
    assert await statuses(workers, tokens) == [200, 200]  # Keycloak still says so, and it is remembered
    await logging_out
    await until_refused(workers, tokens)


async def test_of_two_sessions_of_one_user_the_other_goes_on(app, gate, workers, http, keycloak):
    here, there = await app.token(ALICE), await app.token(ALICE)
    for tokens in (here, there):
        assert await statuses(workers, tokens) == [200, 200]
    await log_out(http, keycloak, here)
    await until_refused(workers, here)
    assert await statuses(workers, there) == [200, 200]


async def test_an_administrator_ends_a_session(app, gateway, gate, workers, administrator):
    tokens = await app.token(BOB)
    assert await statuses(workers, tokens) == [200, 200]
    document = await gateway.introspection_document(Token(tokens["access_token"]))
    await administrator("DELETE", f"/sessions/{document['sid']}")
    await until_refused(workers, tokens)


async def test_what_is_revoked_through_the_gateway_is_refused_at_once(app, gate, workers):
    tokens = await app.token(ALICE)
    assert await statuses(workers, tokens) == [200, 200]
    body = f"token={tokens['access_token']}&client_id=demo-app&client_secret=demo-app-secret".encode()
    async with await Client.of(gate.address) as client:
        await client.send(request("POST", "/revoke", "Content-Type: application/x-www-form-urlencoded", body=body))
        assert (await client.answer("POST")).status == 200
    assert await statuses(workers, tokens) == [401, 401]
    again = await app.token(RefreshToken(tokens["refresh_token"]))
    assert await statuses(workers, again) == [200, 200]


async def outcomes(gate):
    """What arrived, in order, by kind of event."""
    await asyncio.sleep(0.5)  # lines are written in batches
    return [(line["kind"], line["outcome"]) for line in gate.events("security_event")]


@pytest.fixture
async def realm(administrator):
    """Changes keys of the realm, and puts back what they were."""
    before = await administrator("GET", "")

    async def change(**keys):
        await administrator("PUT", "", json={**await administrator("GET", ""), **keys})

    yield change
    await change(**{key: before.get(key) for key in ("notBefore", "defaultSignatureAlgorithm")})


async def test_an_administrator_ends_all_sessions_of_a_user(app, gate, workers, administrator):
    tokens = await app.token(BOB)
    assert await statuses(workers, tokens) == [200, 200]
    [bob] = await administrator("GET", "/users?username=bob&exact=true")
    await administrator("POST", f"/users/{bob['id']}/logout")
    await until_refused(workers, tokens)


async def test_an_administrator_ends_all_sessions_of_the_realm(app, gate, workers, administrator, realm):
    alice, bob = await app.token(ALICE), await app.token(BOB)
    for tokens in (alice, bob):
        assert await statuses(workers, tokens) == [200, 200]
    await administrator("POST", "/logout-all")
    for tokens in (alice, bob):
        await until_refused(workers, tokens)
    assert ("k_logout", "evicted") in await outcomes(gate)


async def test_a_not_before_policy_that_is_pushed_ends_what_was_issued_before(app, gate, workers, administrator, realm):
    known, unseen = await app.token(ALICE), await app.token(BOB)
    assert await statuses(workers, known) == [200, 200]
    await asyncio.sleep(1.1)  # it counts in seconds
    await realm(notBefore=int(time.time()))
    await administrator("POST", "/push-revocation")
    assert await statuses(workers, known) == [401, 401]
    assert await statuses(workers, unseen) == [401, 401]
    assert ("k_push_not_before", "evicted") in await outcomes(gate)
    newer = await app.token(ALICE)
    assert await statuses(workers, newer) == [200, 200]


@pytest.mark.parametrize("algorithm", ["ES256", "PS512"])
async def test_the_first_logout_with_a_new_algorithm_is_understood(
    app, gateway, gate, workers, administrator, realm, algorithm
):
    """Keycloak publishes the key only after this logout was answered, and sends it only once."""
    tokens, first = await app.token(BOB), await app.token(ALICE)
    document = await gateway.introspection_document(Token(first["access_token"]))
    await administrator("DELETE", f"/sessions/{document['sid']}")  # the keys were fetched a moment ago
    document = await gateway.introspection_document(Token(tokens["access_token"]))
    assert await statuses(workers, tokens) == [200, 200]
    await realm(defaultSignatureAlgorithm=algorithm)
    await administrator("DELETE", f"/sessions/{document['sid']}")
    await until_refused(workers, tokens, within_s=30)
    assert (await outcomes(gate))[-1] == ("logout", "evicted")
