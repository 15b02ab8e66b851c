"""The provider client against a real Keycloak: what the documents say is one thing, what it answers another."""

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, Indeterminate
from gateway.provider.errors import TokenRefused
from gateway.provider.grants import ClientCredentials, Password, RefreshToken, TokenExchange

ALICE = Password("alice", "alice")
BOB = Password("bob", "bob")


async def facts(gateway, tokens):
    answer = await gateway.introspect(Token(tokens["access_token"]))
    assert isinstance(answer, Facts), answer
    return answer


async def test_discovery_finds_the_endpoints(app, gateway):
    await facts(gateway, await app.token(ALICE))
    assert app.ready
    assert gateway.ready


async def test_client_credentials_make_a_token_for_the_client_itself(app, gateway):
    found = await facts(gateway, await app.token(ClientCredentials()))
    assert found.claims["client_id"] == "demo-app"
    assert found.claims["username"] == "service-account-demo-app"


async def test_a_password_makes_a_token_that_says_who_when_and_for_whom(app, gateway, keycloak):
    found = await facts(gateway, await app.token(ALICE, "orders:read"))
    assert found.claims["iss"] == keycloak.issuer
    assert found.claims["preferred_username"] == "alice"
    assert found.claims["sub"]
    assert set(found.claims["aud"]) == {"orders-api", "gateway"}
    assert "orders:read" in found.scopes
    assert "orders:write" not in found.scopes
    assert found.exp > found.introspected_at


async def test_a_wrong_password_is_refused_in_the_providers_words(app):
    with pytest.raises(TokenRefused) as refused:
        await app.token(Password("alice", "wrong"))
    assert "invalid_grant" in str(refused.value)


async def test_a_refresh_token_makes_a_new_token_of_the_same_user(app, gateway):
    first = await app.token(ALICE, "orders:read")
    second = await app.token(RefreshToken(first["refresh_token"]))
    assert second["access_token"] != first["access_token"]
    before, after = await facts(gateway, first), await facts(gateway, second)
    assert before.claims["sub"] == after.claims["sub"]
    assert "orders:read" in after.scopes


async def test_a_refresh_token_is_no_access_token(app, gateway):
    tokens = await app.token(ALICE)
    assert isinstance(await gateway.introspect(Token(tokens["refresh_token"])), Inactive)


async def test_roles_come_from_the_realm_and_from_a_client(app, gateway):
    alice = (await facts(gateway, await app.token(ALICE))).claims
    bob = (await facts(gateway, await app.token(BOB))).claims
    assert set(alice["realm_access"]["roles"]) == {"manager", "clerk"}
    assert alice["resource_access"]["orders-api"]["roles"] == ["auditor"]
    assert bob["realm_access"]["roles"] == ["clerk"]
    assert "resource_access" not in bob


async def test_a_logout_ends_the_tokens_of_its_session_and_no_others(app, gateway, http, keycloak):
    here, there = await app.token(ALICE), await app.token(ALICE)
    form = {"client_id": "demo-app", "client_secret": "demo-app-secret", "refresh_token": here["refresh_token"]}
    async with http.post(f"{keycloak.issuer}/protocol/openid-connect/logout", data=form) as response:
        assert response.status == 204
    assert isinstance(await gateway.introspect(Token(here["access_token"])), Inactive)
    await facts(gateway, there)


async def test_a_token_is_exchanged_for_one_with_another_scope(app, gateway):
    subject = await app.token(ALICE, "orders:read")
    exchange = TokenExchange(subject["access_token"], audience=("orders-api", "gateway"))
    exchanged = await app.token(exchange, "orders:write")
    before, after = await facts(gateway, subject), await facts(gateway, exchanged)
    assert before.claims["sub"] == after.claims["sub"]
    assert "orders:write" in after.scopes
    assert "orders:read" not in after.scopes


async def test_what_is_no_token_of_the_realm_is_inactive(gateway):
    assert isinstance(await gateway.introspect(Token("no-token-of-anybody")), Inactive)


async def test_a_wrong_client_secret_is_unclear_and_never_a_no(app, provider):
    stranger = await provider("gateway", client_secret="not-the-secret")
    tokens = await app.token(ALICE)
    assert isinstance(await stranger.introspect(Token(tokens["access_token"])), Indeterminate)


async def test_reached_by_another_name_the_issuer_stays_the_one_keycloak_was_given(app, provider, keycloak):
    by_address = f"{keycloak.other_url}/protocol/openid-connect"
    inside = await provider(
        "gateway",
        introspection_endpoint=f"{by_address}/token/introspect",
        token_endpoint=f"{by_address}/token",
    )
    found = await facts(inside, await app.token(ALICE))
    assert found.claims["iss"] == keycloak.issuer


async def test_discovery_by_another_name_is_not_believed(app, provider, keycloak):
    misled = await provider("gateway", issuer=keycloak.other_url, timeout="5s")
    tokens = await app.token(ALICE)
    assert isinstance(await misled.introspect(Token(tokens["access_token"])), Indeterminate)
    assert not misled.ready


async def authenticates(client):
    """Both endpoints take its credentials; its own tokens are not for itself, so that they are inactive to it."""
    tokens = await client.token(ClientCredentials())
    return isinstance(await client.introspect(Token(tokens["access_token"])), Facts | Inactive)


async def test_client_secret_post(provider):
    assert await authenticates(await provider("demo-app", client_auth="client_secret_post"))


async def test_client_secret_jwt(provider, register):
    secret = "a-secret-of-at-least-thirty-two-bytes"
    await register("by-mac", clientAuthenticatorType="client-secret-jwt", secret=secret)
    assert await authenticates(await provider("by-mac", client_secret=secret, client_auth="client_secret_jwt"))


async def test_private_key_jwt(provider, register):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    await register(
        "by-key",
        clientAuthenticatorType="client-jwt",
        attributes={
            "jwt.credential.public.key": base64.b64encode(public).decode(),
            "token.endpoint.auth.signing.alg": "RS256",
        },
    )
    assert await authenticates(await provider("by-key", private_key=pem, client_auth="private_key_jwt"))


async def test_a_secret_that_has_to_be_escaped_in_basic_credentials(provider, register):
    secret = 'ä/+%:=&? "secret"'
    await register("by-escape", secret=secret)
    assert await authenticates(await provider("by-escape", client_secret=secret))


async def test_its_access_tokens_have_a_token_type_which_is_learned_of_the_first(app, gateway):
    assert gateway.token_types.can_learn
    found = await facts(gateway, await app.token(ALICE))
    assert found.claims["token_type"] == "Bearer"
    assert gateway.token_types.learned


async def test_an_id_token_is_none_even_for_the_client_that_it_is_for(app):
    answer = await app.introspect(Token((await app.token(ALICE, "openid"))["id_token"]))
    assert isinstance(answer, Inactive)
    assert "is id" in answer.reason
    assert app.token_types.can_learn


async def test_what_it_says_of_a_realm_that_is_not_enabled_is_told(provider, administer, keycloak):
    await administer("POST", "", {"realm": "off", "enabled": False})
    endpoint = f"{keycloak.server}/realms/off/protocol/openid-connect/token/introspect"
    answer = await (await provider("gateway", introspection_endpoint=endpoint)).introspect(Token("some-token"))
    assert isinstance(answer, Indeterminate)
    assert "Realm not enabled" in answer.reason
