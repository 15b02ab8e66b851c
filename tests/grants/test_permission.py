"""Permissions of a route against the facts and the path, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.auth_model import PermissionSettings
from gateway.grants.permission import compile_permissions, settle_permissions
from gateway.http.refusal import Refusal

CAPTURES = {"id": "7"}


def settle(
    permission: dict[str, Any],
    claims: dict[str, Any] | None = None,
    captures: dict[str, str] = CAPTURES,
    *,
    is_for_route: bool = False,
) -> list[str] | str:
    wanted = compile_permissions((PermissionSettings.model_validate(permission),), is_for_route=is_for_route)
    found = settle_permissions(wanted, claims or {}, captures, "gateway")
    if isinstance(found, Refusal):
        assert found.status == 403
        return found.code
    return [dict(pairs)["permission"] for pairs in found]


ORDER = {"resource": "order/{id}", "scopes": ["view"]}


@pytest.mark.parametrize(
    ("permission", "captures", "expected"),
    [
        (ORDER, {"id": "7"}, ["order/7#view"]),
        ({"resource": "order/{id}", "scopes": ["view", "edit"]}, {"id": "7"}, ["order/7#view", "order/7#edit"]),
        ({"resource": "order/{id}"}, {"id": "7"}, ["order/7"]),
        ({"resource": "orders"}, {}, ["orders"]),
        (ORDER, {"id": "caf%C3%A9"}, ["order/café#view"]),
        (ORDER, {"id": "a%20b"}, ["order/a b#view"]),
        (ORDER, {"id": "a%23b"}, "forbidden"),
        (ORDER, {"id": "a,b"}, "forbidden"),
        (ORDER, {"id": "a%2Cb"}, "forbidden"),
        (ORDER, {"id": "%C3%28"}, "forbidden"),
        (ORDER, {"id": "a%0Ab"}, "forbidden"),
        ({"resource": "{id}"}, {"id": "resource-type:order"}, "forbidden"),
        ({"resource": "res{id}"}, {"id": "ource-type-any:order"}, "forbidden"),
        ({"resource": "resource-type:{id}"}, {"id": "order"}, ["resource-type:order"]),
    ],
)
def test_the_questions(permission: dict[str, Any], captures: dict[str, str], expected: Any) -> None:
    assert settle(permission, captures=captures) == expected


@pytest.mark.parametrize(
    ("carried", "is_granted"),
    [
        ([{"rsname": "order/7", "scopes": ["view"]}], True),
        ([{"rsid": "order/7", "scopes": ["view", "edit"]}], True),
        ([{"resource_id": "order/7", "resource_scopes": ["view"]}], True),
        ([{"rsid": "3f", "rsname": "order/7", "scopes": ["view"]}], True),
        ([{"rsname": "order/7"}], True),
        ([{"rsname": "order/7", "scopes": ["edit"]}, {"rsname": "order/7", "scopes": ["view"]}], True),
        ([{"rsname": "order/7", "scopes": ["edit"]}], False),
        ([{"rsname": "order/7", "scopes": []}], False),
        ([{"rsname": "order/7", "scopes": "view"}], False),
        ([{"rsname": "order/7", "scopes": {"view": 1}}], False),
        ([{"rsname": "order/8", "scopes": ["view"]}], False),
        ([{"scopes": ["view"]}], False),
        (["order/7#view"], False),
        ({"rsname": "order/7"}, False),
        ("order/7", False),
        (None, False),
        ([], False),
    ],
)
def test_permissions_in_the_facts_decide_and_nobody_is_asked(carried: Any, is_granted: bool) -> None:
    for claims in ({"permissions": carried}, {"authorization": {"permissions": carried}}):
        assert settle(ORDER, claims) == ([] if is_granted else "forbidden")


def test_an_authorization_without_permissions_decides_nothing() -> None:
    assert settle(ORDER, {"authorization": {"other": 1}}) == ["order/7#view"]
    assert settle(ORDER, {"authorization": "text"}) == ["order/7#view"]


@pytest.mark.parametrize(
    ("aud", "is_granted"), [("orders", True), (["a", "orders"], True), ("billing", False), (7, False)]
)
def test_permissions_of_another_resource_server_grant_nothing(aud: Any, is_granted: bool) -> None:
    claims = {"permissions": [{"rsname": "order/7"}], "aud": aud}
    for is_for_route in (False, True):
        named = settle(ORDER | {"audience": "orders"}, claims, is_for_route=is_for_route)
        assert named == ([] if is_granted else "forbidden")
    assert settle(ORDER, claims) == "forbidden", "of another resource server than the gateway's own client"
    assert settle(ORDER, claims | {"aud": ["gateway", "a"]}) == settle(ORDER, claims | {"aud": "gateway"}) == []
    assert settle(ORDER, claims, is_for_route=True) == [], "the route's own audience has judged it"


def test_the_resource_server_is_the_gateways_client_unless_another_is_named() -> None:
    for audience, expected in ((None, "gateway"), ("orders", "orders")):
        permission = PermissionSettings.model_validate(ORDER | ({"audience": audience} if audience else {}))
        found = settle_permissions(compile_permissions((permission,)), {}, CAPTURES, "gateway")
        assert not isinstance(found, Refusal)
        assert [dict(pairs)["audience"] for pairs in found] == [expected]
