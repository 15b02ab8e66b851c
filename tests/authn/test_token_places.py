import pytest

from gateway.authn.bearer import MALFORMED, NO_TOKEN, Token
from gateway.authn.token_places import compile_places, find_token
from gateway.config.auth_model import Auth
from gateway.http.fates import FieldFates
from gateway.http.request_fields import fields_of_text

ALL = ["authorization", {"header": "X-Access-Token"}, {"cookie": "at"}, {"query": "access_token"}]


def found(places=ALL, headers=(), query=None, authorization=None):
    compiled = compile_places(Auth.model_validate({"token_from": places}).token_from)
    assert compiled is not None
    token = None if authorization is None else Token(authorization)
    return find_token(compiled, fields_of_text(FieldFates(frozenset()), headers), query, token)


def test_the_default_place_costs_nothing_to_look_at() -> None:
    assert compile_places(Auth().token_from) is None
    assert compile_places(Auth.model_validate({"token_from": ["authorization"]}).token_from) is None


@pytest.mark.parametrize(
    ("headers", "query", "authorization"),
    [
        ([("x-access-token", "t/a=")], None, None),
        ([("Cookie", 'x=1; at="t/a="')], None, None),
        ([], "x=1&access%5Ftoken=t%2Fa%3D", None),
        ([], None, "t/a="),
        ([("X-Access-Token", "t/a=")] * 2 + [("Cookie", "at=t/a=; at=t/a=")], "access_token=t/a=", "t/a="),
        ([("X-Access-Token", ""), ("Cookie", "at=")], "access_token=&access_token=t/a=", None),
    ],
)  # fmt: skip
def test_equal_tokens_are_one_and_an_empty_value_is_none(headers, query, authorization) -> None:
    assert found(headers=headers, query=query, authorization=authorization).token == Token("t/a=")


@pytest.mark.parametrize(
    ("headers", "query", "authorization"),
    [
        ([("X-Access-Token", "a"), ("X-Access-Token", "b")], None, None),
        ([("Cookie", "at=a; at=b")], None, None),
        ([("Cookie", "at=a"), ("Cookie", "at=b")], None, None),
        ([], "access_token=a&access_token=b", None),
        ([], "access_token=a&acce%73s_token=b", None),
        ([("X-Access-Token", "b")], None, "a"),
        ([("Cookie", "at=b")], "access_token=a", None),
        ([("X-Access-Token", "Bearer a")], None, None),
        ([("X-Access-Token", "a,b")], None, None),
        ([("Cookie", "at=ä")], None, None),
        ([], "access_token=%00", None),
        ([], "access_token=" + "a" * 40_000, None),
    ],
)
def test_two_that_differ_and_what_is_no_token_are_malformed(headers, query, authorization) -> None:
    result = found(headers=headers, query=query, authorization=authorization)
    assert result.token is MALFORMED
    assert result.reason


def test_a_place_that_is_not_named_is_not_looked_at() -> None:
    headers = [("X-Access-Token", "a"), ("Cookie", "at=b; other=c")]
    assert found([{"query": "t"}], headers, "access_token=d").token is NO_TOKEN
    assert found([{"cookie": "other"}], headers, "access_token=d").token == Token("c")
    assert "query:t" in found([{"query": "t"}]).reason


def test_it_is_known_where_the_token_stood() -> None:
    assert found(query="access_token=a").in_query
    assert not found(headers=[("Cookie", "at=a")], query="access_token=").in_query
    both = found(query="access_token=a", authorization="a")
    assert (both.in_query, both.in_authorization) == (True, True)
