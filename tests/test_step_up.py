import pytest

from gateway.authn.facts import Facts, read_introspection_result
from gateway.config.auth_model import Auth
from gateway.policy import TrustedIssuer, compile_policy, judge

NOW = 1_700_000_000.0
CHALLENGE = (
    'Bearer realm="gateway", error="insufficient_user_authentication", error_description="another sign-in is needed"'
)


def refusal(auth: dict, **claims):
    facts = read_introspection_result({"active": True, **claims}, NOW)
    assert isinstance(facts, Facts)
    return judge(compile_policy(Auth.model_validate(auth)), facts, TrustedIssuer(None, "gateway"), {}, NOW)


@pytest.mark.parametrize(
    ("auth", "claims"),
    [
        ({"acr": ["gold", "silver"]}, {"acr": "silver"}),
        ({"max_auth_age": "5m"}, {"auth_time": NOW - 300}),
        ({"max_auth_age": "5m"}, {"auth_time": NOW + 60}),
        ({"acr": ["gold"], "max_auth_age": "5m"}, {"acr": "gold", "auth_time": NOW}),
    ],
)
def test_it_passes(auth, claims) -> None:
    assert refusal(auth, **claims) is None


@pytest.mark.parametrize(
    ("auth", "claims", "parameters", "reason"),
    [
        ({"acr": ["gold"]}, {}, ', acr_values="gold"', "there is no acr, one of [gold] wanted"),
        ({"acr": ["b", "a"]}, {"acr": "c"}, ', acr_values="b a"', "acr is c, one of [b, a] wanted"),
        ({"acr": ["gold"]}, {"acr": ["gold"]}, ', acr_values="gold"', "acr is [gold], one of [gold] wanted"),
        ({"max_auth_age": "5m"}, {"auth_time": NOW - 301}, ', max_age="300"', "auth_time is 301 s ago, at most 300 s"),
        (
            {"max_auth_age": "5m"},
            {"auth_time": NOW * 1000},
            ', max_age="300"',
            "auth_time is 1700000000000.0, which is not",
        ),
        ({"max_auth_age": "5m"}, {"auth_time": 10**400}, ', max_age="300"', "auth_time is 1000"),
        ({"max_auth_age": "5m"}, {"auth_time": NOW + 61}, ', max_age="300"', "auth_time is 61 s ahead of this clock"),
        ({"max_auth_age": "5m"}, {}, ', max_age="300"', "there is no auth_time, a sign-in at most 300 s ago wanted"),
        ({"max_auth_age": "5m"}, {"auth_time": True}, ', max_age="300"', "auth_time is true, "),
        ({"max_auth_age": "5m"}, {"auth_time": "1700000000"}, ', max_age="300"', 'auth_time is "1700000000", '),
        (
            {"acr": ["gold"], "max_auth_age": "5m"},
            {"acr": "gold", "auth_time": 0},
            ', acr_values="gold", max_age="300"',
            "auth_time is 1700000000 s ago",
        ),
    ],
)
def test_it_is_challenged_with_both_parameters(auth, claims, parameters, reason) -> None:
    refused = refusal(auth, **claims)
    assert (refused.status, refused.code) == (401, "insufficient_user_authentication")
    assert refused.headers == (("WWW-Authenticate", CHALLENGE + parameters),)
    assert refused.reason.startswith(reason)


def test_scopes_are_judged_first_and_roles_after() -> None:
    auth = {"acr": ["gold"], "scopes": ["a"], "roles": ["r"]}
    assert refusal(auth).code == "insufficient_scope"
    assert refusal(auth, scope="a").code == "insufficient_user_authentication"
    assert refusal(auth, scope="a", acr="gold").code == "forbidden"
