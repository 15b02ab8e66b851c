import pytest

from gateway.authn.facts import Facts, read_introspection_result
from gateway.authn.token_type import TokenTypeRule
from gateway.config.auth_model import Auth
from gateway.policy import TrustedIssuer, compile_policy, judge

NOW = 1_700_000_000.0
SPEAKER = TrustedIssuer("https://sso/realms/demo", "gateway")


def facts(**claims) -> Facts:
    answer = read_introspection_result({"active": True, **claims}, NOW)
    assert isinstance(answer, Facts)
    return answer


def code(
    auth: dict, captures: dict[str, str] | None = None, speaker: TrustedIssuer = SPEAKER, now: float = NOW, **claims
):
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
    anonymous = TrustedIssuer(None, "gateway")
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


def test_a_claim_does_not_stand_before_a_nested_one_by_its_name() -> None:
    wanted = {"claims": {"org.unit": ["sales"]}}
    assert code(wanted, **{"org": {"unit": "it"}, "org.unit": "sales"}) == "forbidden"
    assert code(wanted, **{"org": {"unit": "sales"}, "org.unit": "it"}) is None


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


@pytest.mark.parametrize(
    ("wanted", "claim", "passes"),
    [
        ("acme", {"acme": {"id": "7"}}, True),  # Keycloak's organization
        ("acme", {"acme": {}, "other": {}}, True),
        (["x", "acme"], {"acme": True}, True),
        ("acme", {"Acme": {}}, False),
        ("acme", {}, False),
        ("acme", {"acme": False}, False),
        ("acme", {"acme": None}, False),
        ("country", {"country": "DE"}, False),
        ("acme", [{"acme": {}}], False),
        (7, {"7": {}}, False),
        (True, {"true": {}}, False),
    ],
)
def test_an_object_is_matched_by_its_names(wanted, claim, passes: bool) -> None:
    assert code({"claims": {"organization": wanted}}, organization=claim) == (None if passes else "forbidden")


def test_a_name_may_come_from_the_path() -> None:
    claims = {"organization": {"acme": {}}}
    assert code({"claims": {"organization": "{tenant}"}}, {"tenant": "acme"}, **claims) is None
    assert code({"claims": {"organization": "{tenant}"}}, {"tenant": "other"}, **claims) == "forbidden"
    assert code({"claims": {"organization.acme.id": "7"}}, organization={"acme": {"id": "7"}}) is None


BOUND = ({"cnf": {"jkt": "x"}}, {"cnf": {"x5t#S256": "x"}, "token_type": "Bearer"}, {"token_type": "DPoP"}, {"cnf": {}})


@pytest.mark.parametrize("claims", [*BOUND, {"token_type": "mac"}])
def test_a_bound_token_is_no_good_without_its_proof_unless_the_route_says_so(claims) -> None:
    policy = compile_policy(Auth.model_validate({}))
    refusal = judge(policy, facts(**claims), SPEAKER, {}, NOW)
    assert refusal is not None
    assert (refusal.code, refusal.status) == ("invalid_token", 401)
    assert refusal.reason
    assert refusal.reason not in refusal.detail
    assert code({"proof": "ignore"}, **claims) is None


@pytest.mark.parametrize("claims", [{}, {"token_type": "bearer"}, *BOUND])
def test_where_a_proof_is_demanded_nothing_passes_without(claims) -> None:
    assert code({"proof": "required"}, **claims) == "invalid_token"


@pytest.mark.parametrize("proof", ["if_bound", "ignore"])
def test_what_must_be_understood_is_never_passed_over(proof) -> None:
    assert code({"proof": proof}, crit=["x"]) == "invalid_token"
    assert code({"proof": proof}, crit=["x"], token_type="Bearer") == "invalid_token"


def test_facts_that_passed_on_one_route_are_judged_anew_on_another() -> None:
    lax, strict = (compile_policy(Auth.model_validate({"proof": proof})) for proof in ("ignore", "if_bound"))
    bound, plain = facts(cnf={"jkt": "x"}), facts(token_type="Bearer")
    for each in (bound, plain):
        assert judge(lax, each, SPEAKER, {}, NOW) is None
    assert judge(strict, bound, SPEAKER, {}, NOW) is not None
    assert judge(strict, plain, SPEAKER, {}, NOW) is None
    demanding = compile_policy(Auth.model_validate({"proof": "required"}))
    assert judge(demanding, plain, SPEAKER, {}, NOW) is not None


def test_facts_without_a_token_type_pass_until_the_rule_has_turned() -> None:
    rule = TokenTypeRule("auto")
    speaker = TrustedIssuer(None, "gateway", token_types=rule)
    policy, untyped, typed = compile_policy(Auth.model_validate({})), facts(sub="u"), facts(token_type="Bearer")
    for each in (untyped, typed, untyped, typed):
        assert judge(policy, each, speaker, {}, NOW) is None
    rule.learn()
    refusal = judge(policy, untyped, speaker, {}, NOW)
    assert refusal is not None
    assert (refusal.code, "require_token_type" in (refusal.reason or "")) == ("invalid_token", True)
    assert judge(policy, typed, speaker, {}, NOW) is None


@pytest.mark.parametrize(
    ("leeway_s", "claims", "expected"),
    [
        (None, {"nbf": NOW + 4, "iat": NOW + 4}, None),
        (None, {"nbf": NOW + 5, "iat": NOW + 4.5}, None),
        (None, {"nbf": NOW + 5.5, "iat": NOW + 5.5}, "invalid_token"),
        (None, {"nbf": NOW + 1, "iat": NOW - 30}, "invalid_token"),
        (None, {"nbf": NOW + 1}, "invalid_token"),
        (None, {"nbf": NOW + 1, "iat": "now"}, "invalid_token"),
        (None, {"nbf": NOW + 1, "iat": True}, "invalid_token"),
        (0.0, {"nbf": NOW + 1, "iat": NOW + 1}, "invalid_token"),
        (60.0, {"nbf": NOW + 60}, None),
        (60.0, {"nbf": NOW + 60.5, "iat": NOW + 60.5}, "invalid_token"),
        (60.0, {"exp": NOW}, "invalid_token"),
        (None, {"exp": NOW, "nbf": NOW + 1, "iat": NOW + 1}, "invalid_token"),
    ],
)
def test_the_leeway_is_of_nbf_and_never_of_exp(leeway_s, claims, expected) -> None:
    assert code({}, speaker=TrustedIssuer(None, "gateway", leeway_s), **claims) == expected
