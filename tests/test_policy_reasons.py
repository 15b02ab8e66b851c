import pytest

from gateway.authn.facts import Facts, read_introspection_result
from gateway.config.route_model import Auth
from gateway.policy import TrustedIssuer, compile_policy, judge
from gateway.policy_reasons import REASON_MAX_CHARS, cut_reason, shown

NOW = 1_700_000_000.0
SSO = "https://sso/realms/demo"


def reason(auth: dict, **claims) -> str | None:
    facts = read_introspection_result({"active": True, **claims}, NOW)
    assert isinstance(facts, Facts)
    policy = compile_policy(Auth.model_validate(auth))
    refusal = judge(policy, facts, TrustedIssuer(SSO, "gateway"), {"tenant": "acme%20inc"}, NOW)
    assert refusal is not None
    return refusal.reason


@pytest.mark.parametrize(
    ("auth", "claims", "expected"),
    [
        ({}, {"exp": NOW - 12}, "exp is 1699999988, 12 s ago by this clock"),
        ({}, {"nbf": NOW + 4}, "nbf is 1700000004, 4.0 s ahead of this clock; see leeway of the provider"),
        ({}, {"iss": "https://other"}, f"iss is https://other, {SSO} wanted"),
        ({"issuer": "https://b"}, {}, "there is no iss, https://b wanted"),
        ({"audience": ["orders-api"]}, {}, "there is no aud, one of [orders-api] wanted"),
        ({"audience": ["orders-api"]}, {"aud": ["account"]}, "aud is [account], one of [orders-api] wanted"),
        ({"audience": ["orders-api"]}, {"aud": "account"}, "aud is [account], one of [orders-api] wanted"),
        ({"scopes": ["a", "b"]}, {"scope": "b c"}, "scope is [b, c], all of [a, b] wanted"),
        ({"any_scope": ["a", "b"]}, {}, "scope is [], one of [a, b] wanted"),
        (
            {"roles": ["manager", "billing:clerk"]},
            {"realm_access": {"roles": ["manager"]}, "resource_access": {"billing": {"roles": ["reader"]}}},
            "roles are [manager, billing:reader], [billing:clerk] missing of [manager, billing:clerk] wanted",
        ),
        ({"claims": {"acr": ["gold"]}}, {"acr": "silver"}, "acr is silver, one of [gold] wanted"),
        ({"claims": {"level": 3}}, {}, "there is no level, one of [3] wanted"),
        ({"claims": {"verified": True}}, {"verified": "true"}, 'verified is "true", one of [true] wanted'),
        ({"claims": {"org.id": 7}}, {"org": {"id": [1, 2]}}, "org.id is [1, 2], one of [7] wanted"),
    ],
)
def test_a_refusal_says_what_was_wanted_and_what_was_there(auth, claims, expected) -> None:
    assert reason(auth, **claims) == expected


def test_a_value_of_the_path_is_shown_as_it_was_compared() -> None:
    assert reason({"claims": {"tenant": "{tenant}"}}, tenant="x") == "tenant is x, one of [acme inc] wanted"


def test_nothing_of_it_is_longer_than_the_bound_or_breaks_the_line() -> None:
    long = reason({"audience": ["orders-api"]}, aud=["x" * 500] * 50)
    assert long is not None
    assert len(long) <= REASON_MAX_CHARS
    assert long.startswith("aud is [xxx")
    assert cut_reason("a\r\nb\x1b[31m") == "a  b [31m"
    assert shown([f"a{n}" for n in range(20)]) == "[a0, a1, a2, a3, a4, a5, a6, a7, … 20 in all]"


def test_a_client_is_told_none_of_it() -> None:
    facts = read_introspection_result({"active": True, "aud": "account"}, NOW)
    assert isinstance(facts, Facts)
    refusal = judge(compile_policy(Auth(audience=("orders-api",))), facts, TrustedIssuer(SSO, "gateway"), {}, NOW)
    assert refusal is not None
    assert "account" not in str((refusal.detail, refusal.headers))
    assert "orders-api" not in str((refusal.detail, refusal.headers))
