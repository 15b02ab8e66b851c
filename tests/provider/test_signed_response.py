"""Responses by RFC 9701: what is good in each point is facts, everything else is neither yes nor no."""

import time
from typing import Any

import pytest
from support.scripted_provider import Reply
from support.signing import forged_by_mac, jwk, key_for, rsa_key, signed, unsigned, without

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, Indeterminate
from gateway.config.provider_model import Provider
from gateway.config.realms import by_realm
from gateway.provider.provider import ProviderClient

TOKEN = Token("opaque-token")
TYP = "token-introspection+jwt"
ACTIVE = {"active": True, "sub": "alice", "scope": "orders:read", "client_id": "app"}


@pytest.fixture
def make(client, scripted):
    def made(**keys: Any) -> Any:
        scripted.keys = {"keys": [jwk(rsa_key()), jwk(key_for("ES256"), "e1")]}
        endpoints = {"introspection_endpoint": scripted.introspection_endpoint, "jwks_uri": scripted.jwks_uri}
        return client(issuer=scripted.issuer, **endpoints, introspection={"accept": "jwt"}, **keys)

    return made


@pytest.fixture
def provider(make):
    return make()


@pytest.fixture
def answer(scripted):
    """A good response of now; `more` replaces claims, and None removes one."""

    def made(result: Any = ACTIVE, *, header: dict[str, Any] | None = None, **more: Any) -> str:
        claims = {"iss": scripted.issuer, "aud": "gateway", "iat": int(time.time()), "token_introspection": result}
        claims = {name: value for name, value in {**claims, **more}.items() if value is not None}
        return signed(claims, **{"typ": TYP, **(header or {})})

    return made


def reply(jwt: str) -> Reply:
    return Reply(body=jwt.encode(), headers={"Content-Type": f"application/{TYP}"})


async def test_it_is_asked_for_and_its_result_counts_and_it_is_the_phantom_token(provider, scripted, answer):
    jwt = answer()
    scripted.default = reply(jwt)
    result = await provider.introspect(TOKEN)
    assert isinstance(result, Facts)
    assert (dict(result.claims), result.scopes) == (ACTIVE, {"orders:read"})
    assert result.phantom == jwt
    assert scripted.introspections[0].header("Accept") == f"application/{TYP}"


async def test_a_signed_no_is_a_no(provider, scripted, answer):
    scripted.default = reply(answer({"active": False}))
    assert isinstance(await provider.introspect(TOKEN), Inactive)


@pytest.mark.parametrize(
    "good",
    [
        {"aud": ["other", "gateway"]},
        {"header": {"typ": f"application/{TYP.upper()}"}},
        {"exp": int(time.time()) + 3000},
        {"sub": "someone"},
    ],
)
async def test_other_spellings_of_good(provider, scripted, answer, good):
    scripted.default = reply(answer(**good))
    assert isinstance(await provider.introspect(TOKEN), Facts)


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "iss missing": {"iss": None},
    "iss another": {"iss": "https://other"},
    "iss with a slash": {"iss": "http://127.0.0.1/"},
    "iss a list": {"iss": ["https://other"]},
    "aud missing": {"aud": None},
    "aud another": {"aud": "other"},
    "aud others": {"aud": ["other", "another"]},
    "aud a number": {"aud": 7},
    "aud empty": {"aud": []},
    "iat missing": {"iat": None},
    "iat a text": {"iat": "now"},
    "iat true": {"iat": True},
    "iat long ago": {"iat": int(time.time()) - 3600},
    "iat in the future": {"iat": int(time.time()) + 3600},
    "exp over": {"exp": 1},
    "exp a text": {"exp": "never"},
    "nbf ahead": {"nbf": int(time.time()) + 3600},
    "no result": {"token_introspection": None},
    "result a text": {"token_introspection": "active"},
    "result true": {"token_introspection": True},
    "result a list": {"token_introspection": [ACTIVE]},
    "result without active": {"token_introspection": {"sub": "alice"}},
    "active a text": {"token_introspection": {"active": "true"}},
    "scope a list": {"token_introspection": {**ACTIVE, "scope": ["orders:read"]}},
    "claims beside it": {"token_introspection": None, **ACTIVE},
    "typ missing": {"header": {"typ": None}},
    "typ JWT": {"header": {"typ": "JWT"}},
    "typ of an access token": {"header": {"typ": "at+jwt"}},
    "typ of a logout token": {"header": {"typ": "logout+jwt"}},
    "crit": {"header": {"crit": ["exp"]}},
    "kid unknown": {"header": {"kid": "k9"}},
    "kid of another key": {"header": {"kid": "e1"}},
}


@pytest.mark.parametrize("bad", BAD_CLAIMS.values(), ids=BAD_CLAIMS)
async def test_what_is_not_good_in_one_point_is_neither_yes_nor_no(provider, scripted, answer, bad):
    scripted.default = reply(answer(**bad))
    result = await provider.introspect(TOKEN)
    assert isinstance(result, Indeterminate)
    assert "alice" not in result.reason
    assert len(scripted.introspections) == 1


@pytest.mark.parametrize("active", [True, False])
async def test_what_no_key_of_the_provider_has_signed_is_neither(provider, scripted, answer, active):
    claims = {
        "iss": scripted.issuer,
        "aud": "gateway",
        "iat": int(time.time()),
        "token_introspection": {**ACTIVE, "active": active},
    }
    good = signed(claims, typ=TYP)
    head, body, signature = good.split(".")
    changed = signed({**claims, "aud": "gateway", "x": 1}, typ=TYP).split(".")[1]
    stranger = key_for("ES256", 2)
    own_key = {"jwk": jwk(stranger)}
    forgeries = [
        signed(claims, rsa_key(2), typ=TYP),
        signed(claims, rsa_key(2), typ=TYP, kid=None),
        signed(claims, stranger, "ES256", typ=TYP, kid="e1", **own_key),
        forged_by_mac(claims, typ=TYP),
        unsigned(claims, typ=TYP),
        f"{head}.{changed}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{good}.{signature}",
        f"{head}.{body}.{signature}.{signature}.{signature}",
        good + "é",
        f'"{good}"',
        "",
    ]
    for forged in forgeries:
        scripted.default = reply(forged)
        result = await provider.introspect(TOKEN)
        assert isinstance(result, Indeterminate), forged
    assert len(scripted.key_fetches) <= 3


@pytest.mark.parametrize(
    "plain",
    [
        {"active": True, "sub": "alice"},
        {"active": False},
        Reply(400, {"error": "invalid_token"}),
        Reply(400, {"error": "unsupported_token_type"}),
        Reply(204, body=b""),
    ],
)
async def test_an_unsigned_answer_is_not_settled_for(provider, scripted, plain):
    scripted.default = plain
    assert isinstance(await provider.introspect(TOKEN), Indeterminate)


@pytest.mark.parametrize("status", [201, 400, 401, 500])
async def test_another_status_is_not_either(provider, scripted, answer, status):
    scripted.default = Reply(status, body=answer().encode())
    assert isinstance(await provider.introspect(TOKEN), Indeterminate)


async def test_the_algorithms_of_the_configuration_are_those_of_its_answers(make, scripted):
    claims = {"iss": scripted.issuer, "aud": "gateway", "iat": int(time.time()), "token_introspection": ACTIVE}
    scripted.default = reply(signed(claims, algorithm="PS256", typ=TYP))
    assert isinstance(await make().introspect(TOKEN), Facts)
    refused = await make(algorithms=["RS256", "ES256"]).introspect(TOKEN)
    assert isinstance(refused, Indeterminate)
    assert "algorithms" in refused.reason


async def test_keys_that_are_away_are_not_a_no(provider, scripted, answer):
    scripted.keys = Reply(503, {})
    scripted.default = reply(answer())
    assert isinstance(await provider.introspect(TOKEN), Indeterminate)


async def test_a_response_of_before_the_question_is_a_replay_as_far_as_clocks_tell(make, scripted, answer):
    for leeway, age_s, is_good in ((None, 50, True), (None, 70, False), ("5m", 250, True), ("5m", 310, False)):
        scripted.default = reply(answer(iat=int(time.time()) - age_s))
        result = await make(leeway=leeway).introspect(TOKEN)
        assert isinstance(result, Facts if is_good else Indeterminate), (leeway, age_s)


@pytest.mark.parametrize("name", ["jti", "iat"])
async def test_a_response_about_another_jwt_is_not_the_answer(provider, scripted, answer, name):
    """A proxy that confuses two answers: both are signed, for us, and of this moment."""
    claims = {"iss": scripted.issuer, "jti": "one", "iat": 1000}
    asked = Token(signed(claims, rsa_key(3)))
    scripted.default = reply(answer({**ACTIVE, **claims}))
    assert isinstance(await provider.introspect(asked), Facts)
    scripted.default = reply(answer({**ACTIVE, **claims, name: 1001 if name == "iat" else "two"}))
    result = await provider.introspect(asked)
    assert isinstance(result, Indeterminate)
    assert f"by its {name}" in result.reason
    scripted.default = reply(answer({**ACTIVE, **without(claims, name)}))
    assert isinstance(await provider.introspect(asked), Facts)  # it need not say so


async def test_a_recorded_answer_is_good_for_its_own_token_only(provider, scripted, answer):
    recorded = answer({**ACTIVE, "sub": "mallory"})
    scripted.default = reply(recorded)
    assert isinstance(await provider.introspect(TOKEN), Facts)
    assert isinstance(await provider.introspect(TOKEN), Facts)
    result = await provider.introspect(Token("revoked"))
    assert isinstance(result, Indeterminate)
    assert "another token" in result.reason
    assert len(scripted.introspections) == 4  # the last question was asked again, a second later


async def test_another_signature_under_a_recorded_answer_does_not_make_it_another(provider, scripted):
    claims = {"iss": scripted.issuer, "aud": "gateway", "iat": int(time.time()), "token_introspection": ACTIVE}
    one, other = (signed(claims, key_for("ES256"), "ES256", typ=TYP, kid="e1") for _ in range(2))
    assert one != other
    scripted.default = reply(one)
    assert isinstance(await provider.introspect(TOKEN), Facts)
    scripted.default = reply(other)
    assert isinstance(await provider.introspect(Token("revoked")), Indeterminate)


async def test_two_tokens_that_are_told_of_alike_in_one_second_both_pass(provider, scripted, answer):
    scripted.default = lambda _: reply(answer())
    results = [await provider.introspect(Token(f"of-one-client-{number}")) for number in range(2)]
    assert all(isinstance(result, Facts) for result in results)


async def test_inactive_answers_are_alike_and_may_be(provider, scripted, answer):
    scripted.default = reply(answer({"active": False}))
    for number in range(5):
        assert isinstance(await provider.introspect(Token(f"junk-{number}")), Inactive)
    assert len(scripted.introspections) == 5


async def test_the_command_shows_the_result_and_only_a_good_one(provider, scripted, answer):
    scripted.default = reply(answer())
    assert await provider.introspection_document(TOKEN) == ACTIVE


async def test_each_realm_of_an_entry_answers_with_its_own_issuer(client, scripted):
    """What one realm signs about a token is no answer of another realm, though one server has both."""
    keys = {"issuer": f"{scripted.url}/{{realm}}", "realms": ["a", "b"], "introspection": {"accept": "jwt"}}
    places = {"introspection_endpoint": scripted.introspection_endpoint, "jwks_uri": scripted.jwks_uri}
    scripted.keys = {"keys": [jwk(rsa_key())]}
    entry = Provider(client_id="gateway", client_secret="s3cret", **keys, **places)
    claims = {"iss": f"{scripted.url}/a", "aud": "gateway", "iat": int(time.time()), "token_introspection": ACTIVE}
    scripted.default = reply(signed(claims, typ=TYP))
    results = {}
    for name, config in by_realm({"p": entry}).items():
        provider = ProviderClient(name, config)
        results[name] = type(await provider.introspect(TOKEN))
        await provider.close()
    assert results == {"p/a": Facts, "p/b": Indeterminate}


def test_without_an_issuer_it_is_never_made(client):
    with pytest.raises(ValueError, match="issuer"):
        client(introspection_endpoint="http://127.0.0.1:1/i", introspection={"accept": "jwt"})
