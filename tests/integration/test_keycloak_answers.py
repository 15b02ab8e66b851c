"""What else Keycloak's introspection can do: answers with a JWT in them, lightweight tokens, a hint, a bearer."""

import pytest
from support.forward_proxy import ForwardProxy

from gateway.authn.bearer import Token
from gateway.authn.compact_jws import Unverified, read_unverified
from gateway.authn.facts import Facts, Inactive, Indeterminate
from gateway.provider.grants import ClientCredentials, Password

ALICE = Password("alice", "alice")
PHANTOM = {"accept": "keycloak_jwt"}
# The switch "Support JWT claim in Introspection Response" of the client that asks.
GIVES_JWT = "client.introspection.response.allow.jwt.claim.enabled"
IS_LIGHTWEIGHT = "client.use.lightweight.access.token.enabled"


@pytest.fixture
async def gives_jwt(administer):
    """Keycloak gives the gateway's client a JWT beside the facts, where it is asked for one."""
    [client] = await administer("GET", "/demo/clients?clientId=gateway")
    await administer("PUT", f"/demo/clients/{client['id']}", {**client, "attributes": {GIVES_JWT: "true"}})
    yield
    await administer("PUT", f"/demo/clients/{client['id']}", {**client, "attributes": {GIVES_JWT: "false"}})


@pytest.fixture
async def light_app(register, provider):
    """An application whose access tokens say next to nothing."""
    await register(
        "light-app",
        secret="secret-of-light-app",
        directAccessGrantsEnabled=True,
        attributes={IS_LIGHTWEIGHT: "true"},
        defaultClientScopes=["basic", "profile", "roles", "audience"],
    )
    return await provider("light-app", client_secret="secret-of-light-app")


def claims_of(jwt):
    read = read_unverified(jwt, containers_max=None)
    assert isinstance(read, Unverified), read
    return read.claims


async def test_its_jwt_is_the_phantom_token_and_in_no_claim(app, provider, keycloak, gives_jwt):
    token = Token((await app.token(ALICE, "orders:read"))["access_token"])
    found = await (await provider("gateway", introspection=PHANTOM)).introspect(token)
    assert isinstance(found, Facts), found
    assert "jwt" not in found.claims
    phantom = claims_of(found.phantom)
    assert (phantom["iss"], phantom["sub"]) == (keycloak.issuer, found.claims["sub"])
    assert phantom["realm_access"] == found.claims["realm_access"]


async def test_of_a_lightweight_token_introspection_and_the_phantom_say_it_all(light_app, provider, gives_jwt):
    value = (await light_app.token(ALICE))["access_token"]
    assert "realm_access" not in claims_of(value)
    assert "preferred_username" not in claims_of(value)
    plain = await (await provider("gateway")).introspect(Token(value))
    found = await (await provider("gateway", introspection=PHANTOM)).introspect(Token(value))
    for facts in (plain, found):
        assert isinstance(facts, Facts), facts
        assert set(facts.claims["realm_access"]["roles"]) >= {"manager", "clerk"}
        assert facts.claims["preferred_username"] == "alice"
    assert plain.phantom is None
    phantom = claims_of(found.phantom)
    assert set(phantom["realm_access"]["roles"]) >= {"manager", "clerk"}
    assert phantom["preferred_username"] == "alice"


async def test_where_its_client_may_not_have_a_jwt_there_is_none_and_the_facts_are_facts(app, provider):
    token = Token((await app.token(ALICE))["access_token"])
    found = await (await provider("gateway", introspection=PHANTOM)).introspect(token)
    assert isinstance(found, Facts), found
    assert found.phantom is None


async def test_a_made_up_token_has_no_phantom(provider, gives_jwt):
    assert isinstance(await (await provider("gateway", introspection=PHANTOM)).introspect(Token("x")), Inactive)


async def test_it_signs_no_answers_by_rfc_9701_which_is_neither_yes_nor_no(app, provider):
    token = Token((await app.token(ALICE))["access_token"])
    refused = await (await provider("gateway", introspection={"accept": "jwt"})).introspect(token)
    assert isinstance(refused, Indeterminate)
    assert "RFC 9701" in refused.reason


async def test_it_takes_no_bearer_and_the_log_says_what_its_metadata_names(provider):
    """RFC 7662 §2.1 leaves it the choice. A token of the gateway's own is fetched once, and once more after the 401."""
    asks = await provider("gateway", introspection={"auth": "bearer"}, breaker=None)
    refused = await asks.introspect(Token("x"))
    assert isinstance(refused, Indeterminate)
    assert "401" in refused.reason
    assert "and not bearer" in refused.reason


async def test_it_is_reached_through_a_proxy(app, provider):
    async with ForwardProxy("user:pass/word") as proxy:
        behind = await provider("gateway", proxy=f"http://user:pass%2Fword@127.0.0.1:{proxy.port}")
        token = Token((await app.token(ALICE))["access_token"])
        assert isinstance(await behind.introspect(token), Facts)
        assert await behind.token(ClientCredentials())
        assert any("/token/introspect " in line for line in proxy.lines)


async def test_a_parameter_and_a_header_it_does_not_know_do_no_harm(app, provider):
    settings = {"parameters": {"resource": "orders"}, "headers": {"X-Api-Key": "k"}, "token_type_hint": None}
    asks = await provider("gateway", introspection=settings)
    assert isinstance(await asks.introspect(Token((await app.token(ALICE))["access_token"])), Facts)
