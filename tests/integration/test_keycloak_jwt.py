"""Keycloak's real tokens, judged by its published keys: access tokens pass, refresh and ID tokens do not."""

import pytest

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive
from gateway.provider.grants import ClientCredentials, Password

ALICE = Password("alice", "alice")


async def judged(client, token):
    assert client.validator is not None
    return await client.validator.judge(Token(token))


@pytest.fixture
async def jwts(provider):
    """As an operator would write it who has no client there."""
    return await provider("not-a-client-of-keycloaks", client_secret=None, validation="jwt")


async def test_an_access_token_is_good_without_a_call_and_says_what_its_introspection_says(app, gateway, jwts):
    tokens = await app.token(ALICE, "orders:read")
    found, asked = await judged(jwts, tokens["access_token"]), await gateway.introspect(Token(tokens["access_token"]))
    assert isinstance(found, Facts), found
    assert isinstance(asked, Facts), asked
    assert jwts.ready
    for name in ("iss", "sub", "sid", "jti", "client_id", "aud", "realm_access", "preferred_username"):
        assert found.claims[name] == asked.claims[name], name
    assert (found.scopes, found.exp) == (asked.scopes, asked.exp)


async def test_the_token_of_a_client_itself_is_good(app, jwts):
    found = await judged(jwts, (await app.token(ClientCredentials()))["access_token"])
    assert isinstance(found, Facts), found
    assert found.claims["client_id"] == "demo-app"


async def test_refresh_and_id_tokens_are_not_access_tokens(app, jwts):
    tokens = await app.token(ALICE, "openid")
    for kind in ("refresh_token", "id_token"):
        assert isinstance(await judged(jwts, tokens[kind]), Inactive), kind


async def test_a_changed_signature_is_refused_and_nobody_is_asked(app, jwts):
    head, payload, signature = (await app.token(ALICE))["access_token"].split(".")
    first = "A" if signature[0] != "A" else "B"
    assert isinstance(await judged(jwts, f"{head}.{payload}.{first}{signature[1:]}"), Inactive)


async def test_before_introspection_the_same_is_checked_and_the_rest_is_asked(app, provider):
    both = await provider("gateway", validation="jwt_then_introspection")
    tokens = await app.token(ALICE, "openid")
    assert await judged(both, tokens["access_token"]) is None
    assert isinstance(await judged(both, tokens["id_token"]), Inactive)
    assert await judged(both, "opaque") is None


async def test_es256_is_as_good_as_rs256(register, provider, jwts, administer):
    realm = (await administer("GET", "/demo"))["id"]
    await administer(
        "POST",
        "/demo/components",
        {
            "name": "es256",
            "parentId": realm,
            "providerId": "ecdsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "config": {"ecdsaEllipticCurveKey": ["P-256"], "priority": ["1"], "enabled": ["true"], "active": ["true"]},
        },
    )
    await register("signs-es256", secret="s", attributes={"access.token.signed.response.alg": "ES256"})
    client = await provider("signs-es256", client_secret="s")
    found = await judged(jwts, (await client.token(ClientCredentials()))["access_token"])
    assert isinstance(found, Facts), found
