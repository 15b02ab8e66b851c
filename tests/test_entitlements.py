import pytest

from gateway.config.auth_model import Auth
from gateway.entitlements import compile_entitlements, entitlement_problem

PAYMENT = {"type": "payment", "actions": ["read", "write"], "account": {"iban": "DE1", "owner": "bob"}, "max": 7}


def reason(auth: dict, **claims) -> str | None:
    demands = compile_entitlements(Auth.model_validate(auth))
    assert demands is not None
    refusal = entitlement_problem(demands, claims, "gateway", {})
    if refusal is None:
        return None
    assert (refusal.status, refusal.code) == (403, "forbidden")
    return refusal.reason


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (["staff", "admins"], None),
        (["admins", "staff", "x"], None),
        (["staff"], "groups are [staff], [admins] wanted too"),
        ([], "groups are [], [staff, admins] wanted too"),
        ("staff admins", "groups are [], [staff, admins] wanted too"),
        (["/staff", "/admins"], "groups are [/staff, /admins], [staff, admins] wanted too"),
        ([["staff"], "admins"], "groups are [['staff'], admins], [staff] wanted too"),
        (None, "groups are [], [staff, admins] wanted too"),
    ],
)
def test_all_groups_are_needed(claim, expected) -> None:
    assert reason({"groups": ["staff", "admins"]}, groups=claim) == expected


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        ([{"type": "payment"}], True),
        ([{"type": "payment", "actions": ["read"]}], True),
        ([{"type": "payment", "actions": ["write", "read"]}], True),
        ([{"type": "payment", "actions": ["delete"]}], False),
        ([{"type": "payment", "actions": ["read", "delete"]}], False),  # a subset, and not one of them
        ([{"type": "payment", "account": {"iban": "DE1", "bic": "X"}}], False),
        ([{"type": "payment", "actions": "read"}], False),
        ([{"type": "payment", "max": 7}], True),
        ([{"type": "payment", "max": "7"}], False),
        ([{"type": "payment", "max": True}], False),
        ([{"type": "payment", "account": {"iban": "DE1"}}], True),
        ([{"type": "payment", "account": {"iban": "DE2"}}], False),
        ([{"type": "payment"}, {"type": "profile"}], True),
        ([{"type": "payment", "actions": ["see"]}], False),  # the other element has it
        ([{"type": "refund"}], False),
    ],
)
def test_each_detail_is_within_one_element(wanted, passes) -> None:
    elements = [PAYMENT, {"type": "profile", "actions": ["see"]}]
    assert (reason({"details": wanted}, authorization_details=elements) is None) == passes


@pytest.mark.parametrize("claim", [None, PAYMENT, [], ["payment"], "payment"])
def test_a_claim_of_another_form_has_no_detail(claim) -> None:
    told = reason({"details": [{"type": "payment"}]}, authorization_details=claim)
    assert told is not None
    assert told.startswith('{"type": "payment"} wanted, authorization_details is ')


def test_a_route_that_demands_none_costs_nothing() -> None:
    assert compile_entitlements(Auth()) is None
