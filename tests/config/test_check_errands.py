"""What a route wants of token endpoints, against the path, the mode and the providers that would be asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.configuration import lines

INTROSPECTED = {"issuer": "http://127.0.0.1:1/a", "client_id": "gw", "client_secret": "secret-of-the-client"}
BY_JWT = {"issuer": "http://127.0.0.1:1/b", "validation": "jwt"}


def problems(route: dict[str, Any], *, defaults: dict[str, Any] | None = None, **providers: dict[str, Any]) -> str:
    whole = {"name": "a", "match": {"path": "/o/{id}"}, "backend": "http://b", **route}
    document = {"providers": providers or {"p": INTROSPECTED}, "defaults": defaults or {}, "routes": [whole]}
    return "\n".join(lines(json.dumps(document)))


GOOD = [
    {"authorization": {"exchange": {"audience": "a", "resource": "https://r.example", "provider": "p"}}},
    {"authorization": {"client_credentials": {}}, "auth": "none"},
    {"authorization": {"phantom": True}},
    {"authorization": "keep"},
    {"auth": {"permissions": [{"resource": "order/{id}", "scopes": ["view"], "audience": "shop"}]}},
]


@pytest.mark.parametrize("route", GOOD, ids=str)
def test_each_form_is_taken(route: dict[str, Any]) -> None:
    assert problems(route) == ""


@pytest.mark.parametrize(
    ("route", "place", "words"),
    [
        ({"authorization": {"exchange": {}}, "auth": "none"}, "authorization.exchange", "with mode none"),
        ({"authorization": {"phantom": True}, "auth": "none"}, "authorization.phantom", "with mode none"),
        ({"authorization": {}}, "authorization", "no form is given; write one of exchange:"),
        ({"authorization": {"phantom": False}}, "authorization", "no form is given"),
        ({"authorization": {"phantom": True, "exchange": {}}}, "authorization", "exchange and phantom are given"),
        ({"authorization": "forward"}, "authorization", "not one of strip, keep"),
        (
            {"authorization": {"exchange": {"provider": "q"}}},
            "authorization.exchange.provider",
            "no provider q; write p",
        ),
        ({"authorization": {"exchange": {"resource": "r"}}}, "authorization.exchange.resource", "not an absolute URI"),
        (
            {"authorization": {"exchange": {"audiense": "a"}}},
            "authorization.exchange.audiense",
            "did you mean audience",
        ),
        ({"auth": {"permissions": [{"resource": "o/{x}"}]}}, "auth.permissions[0].resource", "there is no {x}"),
        ({"auth": {"permissions": [{"resource": "a#b"}]}}, "auth.permissions[0].resource", "has # or , in it"),
        ({"auth": {"permissions": [{"resource": "a", "scopes": ["b,c"]}]}}, "auth.permissions[0].scopes", "has # or ,"),
        ({"auth": {"mode": "none", "permissions": [{"resource": "a"}]}}, "auth.permissions", "with mode none"),
    ],
)
def test_what_cannot_work_is_one_problem(route: dict[str, Any], place: str, words: str) -> None:
    [line] = problems(route).splitlines()
    assert f"routes[0].{place}" in line
    assert words in line


def test_the_provider_of_our_own_token_is_named_where_there_are_several() -> None:
    route = {"authorization": {"client_credentials": {}}, "auth": {"provider": "p"}}
    assert "which provider issues the token; write provider:" in problems(route, p=INTROSPECTED, q=INTROSPECTED)


def test_a_provider_that_is_not_introspected_gives_no_phantom() -> None:
    assert "gives no JWT" in problems({"authorization": {"phantom": True}}, p=BY_JWT)
    both = {"authorization": {"phantom": True}, "auth": {"provider": ["p", "q"]}}
    assert "authorization.phantom: q is not introspected" in problems(both, p=INTROSPECTED, q=BY_JWT)


@pytest.mark.parametrize(
    "route",
    [
        {"authorization": {"exchange": {"audience": "a"}}},
        {"authorization": {"client_credentials": {}}},
        {"auth": {"permissions": [{"resource": "a"}]}},
    ],
    ids=str,
)
def test_nothing_is_obtained_where_the_gateway_is_no_client(route: dict[str, Any]) -> None:
    assert "the gateway is no client of p" in problems(route, p=BY_JWT)
    assert problems(route, p={**BY_JWT, "client_id": "gw", "client_secret": "secret-of-the-client"}) == ""


def test_a_routes_own_form_takes_the_place_of_the_defaults() -> None:
    defaults = {"authorization": {"exchange": {"audience": "a"}}}
    assert problems({"authorization": {"phantom": True}}, defaults=defaults) == ""
    assert problems({"authorization": "strip"}, defaults=defaults) == ""
    assert problems({"auth": "none"}, defaults=defaults) == ""
