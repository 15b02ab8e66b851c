import pytest

from gateway.authn.facts import Facts, read_answer
from gateway.config.model import Auth
from gateway.policy import Speaker, compile_policy, judge

NOW = 1_700_000_000.0
SPEAKER = Speaker("https://sso/realms/demo", "gateway")


def facts(**claims) -> Facts:
    answer = read_answer({"active": True, **claims}, NOW)
    assert isinstance(answer, Facts)
    return answer


def code(auth: dict, captures: dict[str, str] | None = None, speaker: Speaker = SPEAKER, now: float = NOW, **claims):
    policy = compile_policy(Auth.model_validate(auth))
    refusal = judge(policy, facts(**claims), speaker, captures or {}, now)
    return refusal and refusal.code


def test_a_route_that_asks_for_nothing_takes_any_active_token() -> None:
    assert code({}) is None


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": NOW + 0.001}, None),
        ({"exp": NOW}, "invalid_token"),
        ({"exp": 0}, "invalid_token"),
        ({"nbf": NOW}, None),
        ({"nbf": NOW + 0.001}, "invalid_token"),
    ],
)
def test_times_have_no_leeway(claims, expected) -> None:
    assert code({}, **claims) == expected


@pytest.mark.parametrize(
    ("auth", "iss", "expected"),
    [
        ({}, {"iss": "https://sso/realms/demo"}, None),
        ({}, {}, None),
        ({}, {"iss": "https://sso/realms/other"}, "invalid_token"),
        ({}, {"iss": "https://sso/realms/demo/"}, "invalid_token"),
        ({}, {"iss": ["https://sso/realms/demo"]}, "invalid_token"),
        ({}, {"iss": None}, "invalid_token"),
        ({"issuer": "https://b"}, {"iss": "https://b"}, None),
        ({"issuer": "https://b"}, {"iss": "https://sso/realms/demo"}, "invalid_token"),
        ({"issuer": "https://b"}, {}, "invalid_token"),
    ],
)
def test_the_issuer_must_be_the_expected_one(auth, iss, expected) -> None:
    assert code(auth, **iss) == expected


def test_a_provider_without_an_issuer_expects_none_but_a_text() -> None:
    anonymous = Speaker(None, "gateway")
    assert code({}, speaker=anonymous, iss="https://anyone") is None
    assert code({}, speaker=anonymous, iss=5) == "invalid_token"


@pytest.mark.parametrize(
    ("aud", "expected"),
    [
        ("orders-api", None),
        (["x", "orders-api"], None),
        ("orders", "invalid_token"),
        (["x"], "invalid_token"),
        ([], "invalid_token"),
        (5, "invalid_token"),
        ({"orders-api": True}, "invalid_token"),
        (["orders-api", 5], "invalid_token"),
    ],
)
def test_one_audience_must_be_the_routes(aud, expected) -> None:
    assert code({"audience": ["orders-api", "orders-beta"]}, aud=aud) == expected


def test_an_absent_audience_is_refused_only_where_one_is_asked_for() -> None:
    assert code({"audience": ["a"]}) == "invalid_token"
    assert code({}, aud="anything") is None
    assert code({}, aud=5) == "invalid_token"


@pytest.mark.parametrize(
    ("auth", "scope", "expected"),
    [
        ({"scopes": ["a", "b"]}, "b a c", None),
        ({"scopes": ["a", "b"]}, "a", "insufficient_scope"),
        ({"scopes": ["read"]}, "readwrite", "insufficient_scope"),
        ({"scopes": ["read"]}, "Read", "insufficient_scope"),
        ({"any_scope": ["a", "b"]}, "b", None),
        ({"any_scope": ["a", "b"]}, "c", "insufficient_scope"),
        ({"any_scope": ["a"], "scopes": ["b"]}, "a", "insufficient_scope"),
    ],
)
def test_scopes_are_whole_words(auth, scope, expected) -> None:
    assert code(auth, scope=scope) == expected
    assert code(auth) == "insufficient_scope"


ROLES = {
    "realm_access": {"roles": ["manager"]},
    "resource_access": {"gateway": {"roles": ["operator"]}, "billing": {"roles": ["clerk", "a:b"]}},
}


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (["manager"], None),
        (["operator"], None),
        (["billing:clerk"], None),
        (["billing:a:b"], None),
        (["manager", "operator", "billing:clerk"], None),
        (["clerk"], "forbidden"),
        (["manager", "boss"], "forbidden"),
        (["orders:clerk"], "forbidden"),
        (["billing:manager"], "forbidden"),
    ],
)
def test_all_roles_must_be_there(roles, expected) -> None:
    assert code({"roles": roles}, **ROLES) == expected


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"realm_access": None},
        {"realm_access": "manager"},
        {"realm_access": {"roles": "manager"}},
        {"realm_access": {"roles": {"manager": True}}},
        {"realm_access": {"roles": [["manager"]]}},
        {"roles": ["manager"]},
        {"resource_access": ["manager"]},
    ],
)
def test_role_claims_of_the_wrong_type_show_no_role(claims) -> None:
    assert code({"roles": ["manager"]}, **claims) == "forbidden"


@pytest.mark.parametrize(
    ("wanted", "claim", "passes"),
    [
        ("a", "a", True), ("a", "A", False), ("a", ["b", "a"], True), (["a", "b"], "b", True),
        (["a", "b"], ["c"], False),
        (True, True, True), (True, 1, False), (True, "true", False), (1, True, False), (1, 1, True), (1, 1.0, True),
        (1, "1", False), ("1", 1, False), (1.5, 1.5, True), (0, False, False), (False, 0, False), (False, None, False),
        ("a", {"a": 1}, False), ("a", None, False), ("", "", True),
    ],
)  # fmt: skip
def test_claims_are_compared_with_their_type(wanted, claim, passes: bool) -> None:
    assert code({"claims": {"c": wanted}}, c=claim) == (None if passes else "forbidden")


def test_an_absent_claim_is_refused() -> None:
    assert code({"claims": {"c": "a"}}) == "forbidden"


def test_claims_are_found_by_dotted_path_or_by_their_whole_name() -> None:
    assert code({"claims": {"address.country": "de"}}, address={"country": "de"}) is None
    assert code({"claims": {"https://example.com/tenant": "acme"}}, **{"https://example.com/tenant": "acme"}) is None
    assert code({"claims": {"address.country": "de"}}, address="de") == "forbidden"


@pytest.mark.parametrize(
    ("captured", "claim", "expected"),
    [
        ("acme", "acme", None),
        ("acme", "other", "forbidden"),
        ("m%C3%BCller", "müller", None),
        ("%FF", "\ufffd", "forbidden"),
        ("7", 7, "forbidden"),
    ],
)
def test_a_claim_can_be_bound_to_the_path(captured, claim, expected) -> None:
    assert code({"claims": {"tenant": "{tenant}"}}, {"tenant": captured}, tenant=claim) == expected


def test_a_capture_may_stand_within_a_text() -> None:
    assert code({"claims": {"group": "/org/{org}/admin"}}, {"org": "acme"}, group=["/x", "/org/acme/admin"]) is None
    assert code({"claims": {"group": "/org/{org}/admin"}}, {"org": "acme"}, group="/org/other/admin") == "forbidden"
