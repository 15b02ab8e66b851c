"""Permissions and tokens for backends with a real Keycloak: what arrives at the backend, byte by byte."""

from __future__ import annotations

import json
import ssl

import pytest
from support.backend import Backend
from support.caller_token import TOKEN_PLACES, authorizations, in_all_places, nowhere_in
from support.configuration import loaded
from support.running_gateway import RunningGateway, configuration

from gateway.authn.compact_jws import Unverified, read_unverified
from gateway.provider.grants import Password
from gateway.runtime.doctor_grants import examine_grants

ALICE, BOB = Password("alice", "alice"), Password("bob", "bob")
MAY_EXCHANGE = "standard.token.exchange.enabled"
GIVES_JWT = "client.introspection.response.allow.jwt.claim.enabled"
SHOP_SECRET = "secret-of-the-shop"
UMA = "urn:ietf:params:oauth:grant-type:uma-ticket"


def claims_of(token: str):
    read = read_unverified(token, containers_max=None)
    assert isinstance(read, Unverified), read
    return read.claims


@pytest.fixture
async def backend():
    recording = Backend()
    await recording.start()
    yield recording
    await recording.stop()
    assert recording.faults == []


@pytest.fixture
async def serve(keycloak):
    """Starts a gateway in front of routes of these keys, all of one backend."""
    started = []

    async def start(*routes, client_id="gateway", secret="demo-gateway-secret", **provider):
        settings = {
            "issuer": keycloak.issuer,
            "client_id": client_id,
            "client_secret": secret,
            "timeout": "60s",
            **provider,
        }
        gateway = RunningGateway(configuration(providers={"keycloak": settings}, routes=list(routes)))
        started.append(gateway)
        await gateway.start()
        return gateway

    yield start
    for gateway in started:
        await gateway.stop()


@pytest.fixture
async def may_exchange(administer):
    """The gateway's client may exchange tokens, and gets a JWT beside the facts."""
    [client] = await administer("GET", "/demo/clients?clientId=gateway")
    both = {MAY_EXCHANGE: "true", GIVES_JWT: "true"}
    await administer("PUT", f"/demo/clients/{client['id']}", {**client, "attributes": both})
    yield
    neither = {MAY_EXCHANGE: "false", GIVES_JWT: "false"}
    await administer("PUT", f"/demo/clients/{client['id']}", {**client, "attributes": neither})


async def value_of(app, grant=ALICE, scope=None):
    return (await app.token(grant, scope))["access_token"]


def route(backend, **keys):
    return {"name": "api", "match": {"path": "/api/**"}, "backend": backend.url, "timeout": "60s", **keys}


async def test_a_token_for_one_audience_arrives_as_one_for_another(serve, backend, app, may_exchange):
    token = await value_of(app)
    assert set(claims_of(token)["aud"]) == {"gateway", "orders-api"}
    auth, exchange = {"token_from": list(TOKEN_PLACES)}, {"exchange": {"audience": "orders-api"}}
    gateway = await serve(route(backend, auth=auth, authorization=exchange, match={"path": "/bills/**"}))
    for wire in in_all_places(token):
        assert (await gateway.ask(wire, "POST")).status == 200
    sent = {value.removeprefix("Bearer ") for value in authorizations(backend)}
    assert len(sent) == 1  # exchanged once
    claims = claims_of(*sent)
    assert (claims["aud"], claims["azp"]) == ("orders-api", "gateway")
    assert claims["sub"] == claims_of(token)["sub"]
    nowhere_in(backend, token)


async def test_an_audience_that_our_client_cannot_have_is_refused(serve, backend, app, may_exchange):
    gateway = await serve(route(backend, authorization={"exchange": {"audience": "demo-app"}}))
    answer = await gateway.get("/api/x", token=await value_of(app))
    assert (answer.status, answer.problem["code"]) == (403, "exchange_refused")
    assert backend.requests == []


async def test_a_client_that_may_not_exchange_is_told_in_keycloaks_words(serve, backend, app, keycloak):
    """Keycloak calls that `invalid_request`, as it does what a caller may cause, so that it is a 403."""
    gateway = await serve(route(backend, authorization={"exchange": {"audience": "orders-api"}}))
    answer = await gateway.get("/api/x", token=await value_of(app))
    assert (answer.status, answer.problem["code"]) == (403, "exchange_refused")
    assert "not enabled" in (await gateway.log_line())["reason"]
    assert backend.requests == []
    assert (await diagnosed(keycloak)).grade == "FAIL"


async def test_the_doctor_sees_that_our_client_may_exchange(keycloak, may_exchange):
    found = await diagnosed(keycloak)
    assert found.grade == "ok", found.words


async def diagnosed(keycloak):
    provider = {"issuer": keycloak.issuer, "client_id": "gateway", "client_secret": "demo-gateway-secret"}
    exchange = {"name": "a", "backend": "http://a", "authorization": {"exchange": {"audience": "orders-api"}}}
    config = loaded(json.dumps({"providers": {"keycloak": {**provider, "timeout": "60s"}}, "routes": [exchange]}))
    [found] = await examine_grants(config, {"keycloak": ssl.create_default_context()})
    return found


async def test_the_gateways_own_token_and_the_phantom_arrive(serve, backend, app, may_exchange):
    token = await value_of(app)
    own = await serve(route(backend, authorization={"client_credentials": {}}))
    assert (await own.get("/api/x", token=token)).status == 200
    claims = claims_of(backend.requests[-1].value("Authorization").removeprefix("Bearer "))
    assert claims["preferred_username"] == "service-account-gateway"
    assert all(token.encode() not in bytes(each.received) for each in backend.connections)
    introspection = {"accept": "keycloak_jwt"}
    phantom = await serve(route(backend, authorization={"phantom": True}), introspection=introspection)
    assert (await phantom.get("/api/x", token=token)).status == 200
    # Of a token that is a JWT already, Keycloak's JWT is that token; of a lightweight one it is another.
    claims = claims_of(backend.requests[-1].value("Authorization").removeprefix("Bearer "))
    assert claims["preferred_username"] == "alice"


# Permissions of a client with authorization services.


@pytest.fixture
async def shop(administer):
    """Alice may view the order 7, and nobody may edit it."""
    settings = {
        "clientId": "shop",
        "secret": SHOP_SECRET,
        "publicClient": False,
        "serviceAccountsEnabled": True,
        "authorizationServicesEnabled": True,
    }
    await administer("POST", "/demo/clients", settings)
    [client] = await administer("GET", "/demo/clients?clientId=shop")
    server = f"/demo/clients/{client['id']}/authz/resource-server"
    scopes = [{"name": "view"}, {"name": "edit"}]
    await administer("POST", f"{server}/resource", {"name": "order/7", "scopes": scopes})
    [alice] = await administer("GET", "/demo/users?username=alice&exact=true")
    for name, logic in (("alice", "POSITIVE"), ("nobody", "NEGATIVE")):
        both = [alice["id"], (await administer("GET", "/demo/users?username=bob&exact=true"))[0]["id"]]
        users = [alice["id"]] if name == "alice" else both
        policy = {"name": name, "users": users, "logic": logic}
        await administer("POST", f"{server}/policy/user", policy)
    for scope, policy in (("view", "alice"), ("edit", "nobody")):
        permission = {"name": scope, "resources": ["order/7"], "scopes": [scope], "policies": [policy]}
        await administer("POST", f"{server}/permission/scope", permission)
    yield client["id"]
    await administer("DELETE", f"/demo/clients/{client['id']}")


def guarded(backend, *scopes):
    permission = {"resource": "order/{id}", "scopes": list(scopes), "audience": "shop"}
    keys = {"match": {"path": "/api/{id}"}, "auth": {"permissions": [permission]}}
    return route(backend, **keys)


async def test_keycloak_decides_about_a_permission(serve, backend, app, shop):
    gateway = await serve(guarded(backend, "view"))
    alice, bob = await value_of(app), await value_of(app, BOB)
    assert (await gateway.get("/api/7", token=alice)).status == 200
    assert (await gateway.get("/api/7", token=bob)).problem["code"] == "forbidden"
    assert (await gateway.get("/api/8", token=alice)).problem["code"] == "forbidden"
    assert [request.target for request in backend.requests] == ["/api/7"]


async def test_its_yes_to_several_scopes_at_once_is_not_one_to_each(serve, backend, app, shop, http, keycloak):
    alice = await value_of(app)
    form = {"grant_type": UMA, "audience": "shop", "permission": "order/7#view,edit", "response_mode": "decision"}
    headers = {"Authorization": f"Bearer {alice}"}
    url = f"{keycloak.issuer}/protocol/openid-connect/token"
    async with http.post(url, data=form, headers=headers) as response:
        assert await response.json() == {"result": True}
    gateway = await serve(guarded(backend, "view", "edit"))
    assert (await gateway.get("/api/7", token=alice)).status == 403


async def test_a_requesting_party_token_decides_by_itself(serve, backend, app, shop, http, keycloak):
    form = {"grant_type": UMA, "audience": "shop", "permission": "order/7"}
    headers = {"Authorization": f"Bearer {await value_of(app)}"}
    url = f"{keycloak.issuer}/protocol/openid-connect/token"
    async with http.post(url, data=form, headers=headers) as response:
        rpt = (await response.json())["access_token"]
    hint = {"token_type_hint": "requesting_party_token"}
    gateway = await serve(guarded(backend, "view"), client_id="shop", secret=SHOP_SECRET, introspection=hint)
    assert (await gateway.get("/api/7", token=rpt)).status == 200
    assert (await gateway.get("/api/8", token=rpt)).status == 403
    editing = await serve(guarded(backend, "edit"), client_id="shop", secret=SHOP_SECRET, introspection=hint)
    assert (await editing.get("/api/7", token=rpt)).status == 403
