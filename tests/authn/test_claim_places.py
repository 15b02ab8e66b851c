import pytest

from gateway.authn.claim_places import claim_places
from gateway.authn.facts import Facts, Indeterminate, read_introspection_result
from gateway.config.provider_model import ClaimNames


def placed(claims, **names):
    return claim_places(ClaimNames(**names)).placed(claims)


def test_without_places_the_claims_are_the_same_object() -> None:
    claims = {"scope": "a"}
    assert placed(claims) is claims


@pytest.mark.parametrize(
    ("claims", "names", "expected"),
    [
        ({"scp": ["a", "b"]}, {"scope": "scp"}, {"scp": ["a", "b"], "scope": "a b"}),
        ({"scp": "a b"}, {"scope": "scp"}, {"scp": "a b", "scope": "a b"}),
        ({"scope": ["a"]}, {"scope": "scope"}, {"scope": "a"}),
        ({"scope": "root"}, {"scope": "scp"}, {}),
        ({"scp": []}, {"scope": "scp"}, {"scp": [], "scope": ""}),
        ({"g": {"x": ["s"]}}, {"groups": "g.x"}, {"g": {"x": ["s"]}, "groups": ["s"]}),
        ({"groups": ["root"]}, {"groups": "teams"}, {}),
        ({"cid": "web", "client_id": "x"}, {"client_id": "cid"}, {"cid": "web", "client_id": "web"}),
        ({"res": ["a"], "aud": "x"}, {"audience": "res"}, {"res": ["a"], "aud": ["a"], "audience": ["a"]}),
        (
            {"https://e.com/roles": ["m"], "realm_access": {"roles": ["root"], "x": 1}},
            {"roles": "https://e.com/roles"},
            {"https://e.com/roles": ["m"], "roles": ["m"], "realm_access": {"roles": ["m"], "x": 1}},
        ),
        ({"role": "m"}, {"roles": "role"}, {"role": "m", "roles": ["m"], "realm_access": {"roles": ["m"]}}),
        ({"realm_access": {"roles": ["root"]}, "roles": ["root"]}, {"roles": "mine"}, {"realm_access": {}}),
        ({"realm_access.roles": ["root"]}, {"roles": "mine"}, {"realm_access": {}}),
    ],
)
def test_a_claim_counts_from_its_place_and_from_nowhere_else(claims, names, expected) -> None:
    assert placed(claims, **names) == expected


@pytest.mark.parametrize("scope", [["a b"], ["a", 1], ["a", ""], {"a": 1}, 7, ['"']])
def test_a_scope_that_is_not_understood_is_no_yes(scope) -> None:
    claims = placed({"active": True, "scp": scope}, scope="scp")
    assert isinstance(read_introspection_result(claims, 1.0), Indeterminate)


def test_a_list_of_scopes_needs_its_place_written() -> None:
    document = {"active": True, "scope": ["a", "b"]}
    assert isinstance(read_introspection_result(placed(document), 1.0), Indeterminate)
    result = read_introspection_result(placed(document, scope="scope"), 1.0)
    assert isinstance(result, Facts)
    assert result.scopes == {"a", "b"}
