from typing import Any

import pytest
from support.scripted_provider import Reply

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, Indeterminate
from gateway.config.provider_model import Provider
from gateway.provider.provider_identity import identity, realm

TOKEN = Token("opaque-token")
PHANTOM = "eyJhbGciOiJub25lIn0.e30.c2ln"


@pytest.fixture
def asked(client, scripted):
    """Asks with these settings once, and returns the result and the call."""

    async def ask(introspection: dict[str, Any], **keys: Any) -> tuple[Any, Any]:
        endpoints = {
            "introspection_endpoint": scripted.introspection_endpoint,
            "token_endpoint": scripted.token_endpoint,
        }
        provider = client(**endpoints, introspection=introspection, **keys)
        result = await provider.introspect(TOKEN)
        return result, scripted.introspections[-1]

    return ask


async def test_nothing_is_said_of_the_tokens_type_with_null(asked):
    _, call = await asked({"token_type_hint": None})
    assert call.body == b"token=opaque-token"


async def test_another_hint_is_sent_as_it_stands(asked):
    _, call = await asked({"token_type_hint": "requesting_party_token"})
    assert call.form == {"token": "opaque-token", "token_type_hint": "requesting_party_token"}


@pytest.mark.parametrize("client_auth", ["client_secret_basic", "client_secret_post"])
async def test_headers_and_parameters_go_out_beside_our_own(asked, client_auth):
    settings = {"headers": {"Host": "sso.example.com", "X-Api-Key": "k3y"}, "parameters": {"realm": "a b&token=evil"}}
    _, call = await asked(settings, client_auth=client_auth)
    assert call.header("Host") == "sso.example.com"
    assert call.header("X-Api-Key") == "k3y"
    assert call.form["realm"] == "a b&token=evil"
    assert call.token == TOKEN.value
    names = [name.lower() for name, _ in call.headers]
    assert len(names) == len(set(names))
    assert ("authorization" in names) == (client_auth == "client_secret_basic")


@pytest.mark.parametrize(("accept", "media_type"), [("json", "application/json"), ("keycloak_jwt", "application/jwt")])
async def test_the_form_of_the_answer_is_asked_for(asked, scripted, accept, media_type):
    scripted.default = {"active": True, "sub": "alice", "jwt": PHANTOM}
    result, call = await asked({"accept": accept})
    assert [value for name, value in call.headers if name.lower() == "accept"] == [media_type]
    assert isinstance(result, Facts)
    if accept == "json":  # it was not asked for, and means what it means to that provider
        assert (result.phantom, result.claims["jwt"]) == (None, PHANTOM)
    else:
        assert (result.phantom, dict(result.claims)) == (PHANTOM, {"active": True, "sub": "alice"})
        assert PHANTOM not in repr(result)


@pytest.mark.parametrize("document", [{"active": False}, {"active": False, "jwt": PHANTOM}])
async def test_keycloaks_no_is_a_no(asked, scripted, document):
    scripted.default = document
    assert isinstance((await asked({"accept": "keycloak_jwt"}))[0], Inactive)


@pytest.mark.parametrize("jwt", [None, "opaque", 7])
async def test_without_a_usable_phantom_the_facts_are_facts(asked, scripted, jwt):
    scripted.default = {"active": True, "sub": "alice", **({} if jwt is None else {"jwt": jwt})}
    result, _ = await asked({"accept": "keycloak_jwt"})
    assert isinstance(result, Facts)
    assert (result.phantom, dict(result.claims)) == (None, {"active": True, "sub": "alice"})


async def test_no_reason_quotes_a_configured_value(asked, scripted):
    scripted.default = Reply(401, {"error": "invalid_client", "error_description": "bad k3y-of-us in realm-of-us"})
    result, _ = await asked({"headers": {"X-Api-Key": "k3y-of-us"}, "parameters": {"realm": "realm-of-us"}})
    assert isinstance(result, Indeterminate)
    assert "bad … in …" in result.reason


async def test_our_own_token_is_the_bearer_and_one_for_all(client, scripted):
    scripted.token_answer = {"access_token": "own-1", "token_type": "Bearer", "expires_in": 60}
    scripted.default = {"active": True}
    provider = client(
        introspection_endpoint=scripted.introspection_endpoint,
        token_endpoint=scripted.token_endpoint,
        client_auth="client_secret_post",
        introspection={"auth": "bearer"},
    )
    for number in range(3):
        assert isinstance(await provider.introspect(Token(f"t{number}")), Facts)
    [grant] = [call for call in scripted.calls if call.path == "/token"]
    assert grant.form == {"grant_type": "client_credentials", "client_id": "gateway", "client_secret": "s3cret"}
    assert {call.header("Authorization") for call in scripted.introspections} == {"Bearer own-1"}
    assert all(set(call.form) == {"token", "token_type_hint"} for call in scripted.introspections)


async def test_a_401_renews_it_once(client, scripted):
    made = iter(range(1, 100))
    scripted.token_answer = lambda _: {"access_token": f"own-{next(made)}", "token_type": "Bearer", "expires_in": 60}
    good = "Bearer own-2"
    scripted.default = lambda call: {"active": True} if call.header("Authorization") == good else Reply(401, {})
    provider = client(
        introspection_endpoint=scripted.introspection_endpoint,
        token_endpoint=scripted.token_endpoint,
        introspection={"auth": "bearer"},
        breaker=None,
    )
    assert isinstance(await provider.introspect(TOKEN), Facts)
    good = "none"
    for number in range(5):
        assert isinstance(await provider.introspect(Token(f"t{number}")), Indeterminate)
    assert len([call for call in scripted.calls if call.path == "/token"]) == 2


async def test_without_our_own_token_nobody_is_asked(client, scripted):
    scripted.token_answer = Reply(401, {"error": "invalid_client"})
    provider = client(
        introspection_endpoint=scripted.introspection_endpoint,
        token_endpoint=scripted.token_endpoint,
        introspection={"auth": "bearer"},
    )
    result = await provider.introspect(TOKEN)
    assert isinstance(result, Indeterminate)
    assert "invalid_client" in result.reason
    assert scripted.introspections == []


def test_facts_of_another_question_have_other_keys_and_the_same_realm() -> None:
    own = {"introspection_endpoint": "https://a/i", "client_id": "gw", "client_auth": "none"}
    settings = [
        {},
        {"accept": "jwt"},
        {"accept": "keycloak_jwt"},
        {"token_type_hint": None},
        {"headers": {"Host": "a"}},
        {"headers": {"Host": "b"}},
        {"parameters": {"Host": "b"}},
        {"auth": "bearer"},
    ]
    providers = [Provider(**own, introspection=each) for each in settings]
    assert len({identity(each) for each in providers}) == len(settings)
    assert len({realm(each) for each in providers}) == 1
    assert identity(Provider(**own)) == identity(providers[0])
