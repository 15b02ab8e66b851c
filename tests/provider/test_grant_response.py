"""What a token endpoint's response to a grant means: yes, no, or nothing that can be relied on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.signing import unsigned

from gateway.authn.bearer import Token
from gateway.authn.question import Question
from gateway.grants.grant_request import GrantParameters, GrantRequest, Kind, Pairs
from gateway.grants.obtained import Denied, Granted
from gateway.provider.call import ProviderResponse
from gateway.provider.errors import FailingError, OverloadedError, ProviderError, RejectedError, UnusableResponseError
from gateway.provider.grant_response import read_grant
from gateway.provider.grants import ACCESS_TOKEN_TYPE, JWT_TYPE, REFRESH_TOKEN_TYPE, REQUESTED_TYPE

TOKEN = {"access_token": "new", "token_type": "Bearer", "expires_in": 60}


def read(kind: Kind, status: int, body: Any, pairs: Pairs = ()) -> Granted | Denied:
    """What is made of the response to a grant; the caller's own token is `caller.1`."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    question = None if kind == "client" else Question("p", Token("caller.1"))
    grant = GrantRequest(GrantParameters(kind, "p", pairs), question, None)
    return read_grant(grant, ProviderResponse(status, text), "gateway", ("hidden-secret",))


@pytest.mark.parametrize("kind", ["exchange", "client"])
@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, Granted("new", 60.0)),
        ({"token_type": "bearer"}, Granted("new", 60.0)),
        ({"expires_in": None}, Granted("new")),
        ({"expires_in": 1e12}, Granted("new", 2.0**31)),
        ({"expires_in": 10**400}, Granted("new", 2.0**31)),
        ({"access_token": unsigned({"exp": 4_000_000_000})}, 4_000_000_000),
    ],
)
def test_a_token(kind: Kind, more: dict[str, Any], expected: Any) -> None:
    granted = read(kind, 200, TOKEN | more)
    assert isinstance(granted, Granted)
    assert (granted if isinstance(expected, Granted) else granted.exp) == expected
    assert "new" not in repr(granted)


@pytest.mark.parametrize(
    "more",
    [
        {"token_type": "DPoP"},
        {"token_type": "N_A"},
        {"token_type": None},
        {"access_token": None},
        {"access_token": ""},
        {"access_token": "two\r\nX-Roles: admin"},
        {"access_token": "a b"},
        {"access_token": "a" * 40_000},
        {"access_token": "caller.1"},
        {"access_token": ["new"]},
        {"issued_token_type": REFRESH_TOKEN_TYPE},
        {"issued_token_type": "urn:ietf:params:oauth:token-type:id_token"},
        {"issued_token_type": ""},
        {"issued_token_type": [ACCESS_TOKEN_TYPE]},
        {"expires_in": 0},
        {"expires_in": -1},
        {"expires_in": True},
        {"expires_in": "60"},
    ],
)
def test_what_is_no_token_that_can_be_sent_on_is_never_one(more: dict[str, Any]) -> None:
    with pytest.raises(UnusableResponseError):
        read("exchange", 200, TOKEN | more)


@pytest.mark.parametrize("issued", [ACCESS_TOKEN_TYPE, JWT_TYPE, None])
def test_a_token_of_the_types_that_a_backend_can_verify_is_sent_on(issued: str | None) -> None:
    assert read("exchange", 200, TOKEN | {"issued_token_type": issued}) == Granted("new", 60.0)


def test_another_type_has_to_be_asked_for_and_a_refresh_token_is_never_sent_on() -> None:
    wanted = "urn:example:token-type:of-ours"
    assert read("exchange", 200, TOKEN | {"issued_token_type": wanted}, ((REQUESTED_TYPE, wanted),))
    refresh = TOKEN | {"issued_token_type": REFRESH_TOKEN_TYPE}
    with pytest.raises(UnusableResponseError):
        read("exchange", 200, refresh, ((REQUESTED_TYPE, REFRESH_TOKEN_TYPE),))


def test_a_type_is_looked_at_only_where_a_token_was_exchanged() -> None:
    """RFC 6749 knows none."""
    assert read("client", 200, TOKEN | {"issued_token_type": "anything"}) == Granted("new", 60.0)


@pytest.mark.parametrize("body", [b"", b"<html>", [], "text", {}, {"result": "true"}, {"result": 1}])
def test_nonsense_is_neither_yes_nor_no(body: Any) -> None:
    for kind in ("exchange", "permission", "client"):
        with pytest.raises(UnusableResponseError):
            read(kind, 200, body)


def test_a_decision() -> None:
    assert read("permission", 200, {"result": True}) == Granted()
    assert isinstance(read("permission", 200, {"result": False}), Denied)


NO_OF_AN_EXCHANGE = ["invalid_grant", "invalid_target", "invalid_scope", "access_denied", "invalid_request"]
NO_OF_A_PERMISSION = ["access_denied", "invalid_resource", "invalid_scope"]


@pytest.mark.parametrize("status", [400, 403])
def test_a_no_is_about_the_caller_or_about_what_was_asked(status: int) -> None:
    for error in NO_OF_AN_EXCHANGE:
        denied = read("exchange", status, {"error": error, "error_description": "of hidden-secret"})
        assert isinstance(denied, Denied)
        assert error in denied.reason
        assert "hidden-secret" not in denied.reason
    for error in NO_OF_A_PERMISSION:
        assert isinstance(read("permission", status, {"error": error}), Denied)


@pytest.mark.parametrize(
    ("kind", "status", "error", "expected"),
    [
        ("exchange", 400, "invalid_client", FailingError),
        ("exchange", 401, "invalid_client", FailingError),
        ("exchange", 401, "invalid_grant", RejectedError),
        ("exchange", 400, "unauthorized_client", RejectedError),
        ("exchange", 400, "unsupported_grant_type", RejectedError),
        ("exchange", 400, "another_word", RejectedError),
        ("exchange", 400, None, UnusableResponseError),
        ("exchange", 403, None, FailingError),
        ("exchange", 404, None, UnusableResponseError),
        ("exchange", 429, "access_denied", FailingError),
        ("exchange", 500, "access_denied", FailingError),
        ("exchange", 503, None, OverloadedError),
        ("permission", 400, "invalid_grant", RejectedError),
        ("permission", 401, "invalid_grant", RejectedError),
        ("permission", 403, "unauthorized_client", FailingError),
        ("client", 400, "invalid_scope", RejectedError),
        ("client", 400, "access_denied", RejectedError),
    ],
)
def test_what_is_about_our_client_is_not_a_no(
    kind: Kind, status: int, error: str | None, expected: type[ProviderError]
) -> None:
    with pytest.raises(expected) as raised:
        read(kind, status, b"<html>" if error is None else {"error": error, "error_description": "of hidden-secret"})
    assert raised.type is expected
    assert "client gateway" in raised.value.reason
    assert "hidden-secret" not in raised.value.reason
