import base64
from typing import Any

import aiohttp
import jwt
import pytest

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive
from gateway.config.provider_model import Provider
from gateway.demo.demo_provider import DemoProvider
from gateway.demo.realm import USERS, stable_id
from gateway.demo.tokens import new_key
from gateway.provider.provider import ProviderClient

APP = {"client_id": "demo-app"}
SERVICE = {"client_id": "demo-service", "client_secret": "demo-service-secret"}
GATEWAY = {"client_id": "gateway", "client_secret": "gateway-secret"}
EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
}


@pytest.fixture(scope="module")
def key():
    return new_key()


@pytest.fixture
def now():
    return [1_800_000_000.0]


@pytest.fixture
async def demo(key, now):
    provider = DemoProvider(key=key, clock=lambda: now[0])
    await provider.start()
    yield provider
    await provider.stop()


@pytest.fixture
async def post(demo):
    """Posts a form to an endpoint of the realm, as curl would; returns the status and the JSON."""
    async with aiohttp.ClientSession() as session:

        async def send(path: str, headers: dict[str, str] | None = None, **form: str) -> tuple[int, Any]:
            url = f"{demo.issuer}/protocol/openid-connect/{path}"
            async with session.post(url, data=form, headers=headers) as response:
                return response.status, await response.json() if await response.read() else None

        yield send


@pytest.fixture
def login(post):
    async def by_password(username: str, **more: str) -> dict[str, Any]:
        form = {"grant_type": "password", "username": username, "password": username, **APP, **more}
        status, answer = await post("token", **form)
        assert status == 200, answer
        return answer

    return by_password


@pytest.fixture
def introspect(post):
    async def ask(token: str) -> dict[str, Any]:
        status, answer = await post("token/introspect", token=token, **GATEWAY)
        assert status == 200
        return answer

    return ask


async def get(url):
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.json()


async def test_discovery_names_the_endpoints(demo):
    for place in (
        f"{demo.issuer}/.well-known/openid-configuration",
        f"{demo.url}/.well-known/oauth-authorization-server/realms/demo",
    ):
        document = await get(place)
        assert document["issuer"] == demo.issuer
        assert document["token_endpoint"] == demo.token_endpoint
        assert document["introspection_endpoint"] == demo.introspection_endpoint
        assert document["revocation_endpoint"] == demo.revocation_endpoint


async def test_tokens_are_signed_jwts_that_look_like_keycloaks(demo, login, now):
    token = (await login("alice"))["access_token"]
    keys = jwt.PyJWKSet.from_dict(await get(f"{demo.issuer}/protocol/openid-connect/certs"))
    signing = keys[jwt.get_unverified_header(token)["kid"]]
    options = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(
        token, signing, algorithms=["RS256"], audience="orders-api", issuer=demo.issuer, options=options
    )
    assert claims["sub"] == stable_id("alice")
    assert claims["azp"] == claims["client_id"] == "demo-app"
    assert claims["preferred_username"] == "alice"
    assert claims["typ"] == "Bearer"
    assert claims["scope"] == "email orders:read orders:write profile"
    assert claims["realm_access"] == {"roles": ["user", "manager"]}
    assert claims["resource_access"] == {"billing": {"roles": ["clerk"]}}
    assert claims["exp"] == now[0] + 300
    assert claims["sid"]
    assert claims["jti"]


async def test_bob_may_less_than_alice(login):
    assert "orders" not in (await login("bob"))["scope"]
    assert not set(USERS["bob"].roles) >= set(USERS["alice"].roles)


async def test_scopes_can_be_asked_for_singly(login, post):
    assert (await login("alice", scope="openid orders:read"))["scope"] == "orders:read"
    status, answer = await post(
        "token", grant_type="password", username="bob", password="bob", scope="orders:read", **APP
    )
    assert (status, answer["error"]) == (400, "invalid_scope")


async def test_introspection_says_what_the_token_holds(login, introspect, demo):
    answer = await introspect((await login("alice"))["access_token"])
    assert answer["active"] is True
    assert (answer["username"], answer["client_id"], answer["token_type"]) == ("alice", "demo-app", "Bearer")
    assert answer["iss"] == demo.issuer
    assert demo.introspections == 1


@pytest.mark.parametrize("token", ["", "x", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."])
async def test_what_it_did_not_issue_is_inactive(introspect, token):
    assert await introspect(token) == {"active": False}


async def test_another_keys_token_is_inactive(demo, introspect, login):
    token = (await login("alice"))["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert await introspect(jwt.encode(claims, new_key(), algorithm="RS256")) == {"active": False}


async def test_tokens_expire(login, introspect, now):
    token = (await login("alice"))["access_token"]
    now[0] += 299
    assert (await introspect(token))["active"] is True
    now[0] += 1
    assert await introspect(token) == {"active": False}


async def test_a_revoked_access_token_is_inactive_and_others_are_not(login, introspect, post):
    first, second = (await login("alice"))["access_token"], (await login("alice"))["access_token"]
    assert await post("revoke", token=first, **APP) == (200, None)
    assert await introspect(first) == {"active": False}
    assert (await introspect(second))["active"] is True
    assert await post("revoke", token="unknown", **APP) == (200, None)


async def test_a_revoked_refresh_token_ends_the_session(login, introspect, post):
    session = await login("alice")
    await post("revoke", token=session["refresh_token"], **APP)
    assert await introspect(session["access_token"]) == {"active": False}
    status, answer = await post("token", grant_type="refresh_token", refresh_token=session["refresh_token"], **APP)
    assert (status, answer["error"]) == (400, "invalid_grant")


async def test_refresh_continues_the_session(login, introspect, post):
    session = await login("alice", scope="orders:read")
    status, answer = await post("token", grant_type="refresh_token", refresh_token=session["refresh_token"], **APP)
    assert status == 200
    assert answer["session_state"] == session["session_state"]
    assert (await introspect(answer["access_token"]))["scope"] == "orders:read"
    for token, client in ((session["access_token"], APP), (session["refresh_token"], SERVICE)):
        status, refused = await post("token", grant_type="refresh_token", refresh_token=token, **client)
        assert (status, refused["error"]) == (400, "invalid_grant")


async def test_a_service_acts_for_itself(post, introspect):
    status, answer = await post("token", grant_type="client_credentials", **SERVICE)
    assert status == 200
    assert "refresh_token" not in answer
    assert (await introspect(answer["access_token"]))["username"] == "service-account-demo-service"
    status, answer = await post("token", grant_type="client_credentials", **APP)
    assert (status, answer["error"]) == (401, "unauthorized_client")


async def test_a_service_exchanges_a_users_token_for_a_narrower_one(login, post, introspect):
    subject = (await login("alice"))["access_token"]
    form = {**EXCHANGE, "subject_token": subject, "audience": "billing", "scope": "orders:read"}
    status, answer = await post("token", **form, **SERVICE)
    assert status == 200
    said = await introspect(answer["access_token"])
    assert (said["sub"], said["aud"], said["azp"], said["scope"]) == (
        stable_id("alice"),
        ["billing"],
        "demo-service",
        "orders:read",
    )
    assert (await post("token", **form, **APP))[0] == 403
    assert (await post("token", **{**form, "subject_token": "x"}, **SERVICE))[1]["error"] == "invalid_request"
    assert (await post("token", **{**form, "scope": "admin"}, **SERVICE))[1]["error"] == "invalid_scope"


@pytest.mark.parametrize(
    "client",
    [{}, {"client_id": "nobody"}, {**SERVICE, "client_secret": "wrong"}, {"client_id": "gateway"}],
    ids=["none", "unknown", "wrong secret", "no secret"],
)
@pytest.mark.parametrize("path", ["token", "token/introspect", "revoke"])
async def test_clients_prove_who_they_are(post, client, path, demo):
    status, answer = await post(path, grant_type="client_credentials", token="x", **client)
    assert (status, answer["error"]) == (401, "invalid_client")
    assert demo.introspections == 0


async def test_a_public_client_does_not_introspect(post):
    assert (await post("token/introspect", token="x", **APP))[0] == 403


@pytest.mark.parametrize(
    ("credentials", "status"),
    [(b"gateway:gateway-secret", 200), (b"gateway:gateway%2Dsecret", 200), (b"gateway:x", 401), (b"\xff", 401)],
)
async def test_clients_may_use_basic(post, credentials, status):
    headers = {"Authorization": f"Basic {base64.b64encode(credentials).decode()}"}
    assert (await post("token/introspect", headers, token="x"))[0] == status


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password", "username": "alice", "password": "wrong"}, "invalid_grant"),
        ({"grant_type": "password", "username": "nobody", "password": "x"}, "invalid_grant"),
        ({"grant_type": "password"}, "invalid_grant"),
        ({"grant_type": "implicit"}, "unsupported_grant_type"),
        ({}, "unsupported_grant_type"),
    ],
)
async def test_bad_grants_are_refused_in_the_protocols_words(post, form, error):
    status, answer = await post("token", **form, **APP)
    assert status in {400, 401}
    assert answer["error"] == error


async def test_the_gateways_own_client_takes_it_for_a_provider(demo, login):
    config = Provider(issuer=demo.issuer, **GATEWAY)
    client = ProviderClient("demo", config)
    await client.start()
    try:
        session = await login("alice")
        facts = await client.introspect(Token(session["access_token"]))
        assert isinstance(facts, Facts)
        assert "orders:read" in facts.scopes
        assert isinstance(await client.introspect(Token(session["refresh_token"])), Inactive)
    finally:
        await client.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "", "example.com", "localhost"])
def test_it_listens_on_loopback_only(host):
    with pytest.raises(ValueError, match="loopback only"):
        DemoProvider(host)


async def test_a_taken_port_is_an_error_and_leaves_nothing_open(demo, key):
    port = int(demo.url.rpartition(":")[2])
    second = DemoProvider(port=port, key=key)
    with pytest.raises(OSError, match="in use"):
        await second.start()
    await second.stop()
