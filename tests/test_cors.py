"""What a preflight is told, and that it is what aiohttp-cors would decide, where that says anything certain."""

import asyncio
import re
from typing import Any

import aiohttp_cors
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from aiohttp_cors.preflight_handler import _PreflightHandler
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.route_model import Cors
from gateway.cors import cors_fields, preflight_answer
from gateway.http.refusal import Refusal
from gateway.http.syntax import TOKEN

APP = "https://app.example"
NAMED = Cors(allow_origins=(APP, "https://two.example"), allow_methods=("GET", "PUT"), allow_headers=("X-A", "X-B"))
PUBLIC = Cors(allow_origins=("*",), allow_headers=("*",))
SESSION = Cors(allow_origins=(APP,), allow_credentials=True, allow_headers=("*",), max_age="10m")
BARE = Cors(allow_origins=(APP,))
ORIGIN, METHODS, HEADERS = (f"Access-Control-Allow-{name}" for name in ("Origin", "Methods", "Headers"))
ALL_OF_NAMED = [(ORIGIN, APP), (METHODS, "GET, PUT"), (HEADERS, "X-A, X-B")]


@pytest.mark.parametrize(
    ("cors", "origin", "method", "asked", "fields"),
    [
        (NAMED, APP, "GET", (), ALL_OF_NAMED),
        (NAMED, APP, "PUT", ("x-b",), ALL_OF_NAMED),
        (NAMED, APP, "PUT", ("X-B,\tx-a ,, ", "x-a"), ALL_OF_NAMED),
        (NAMED, "https://two.example", "GET", (), [(ORIGIN, "https://two.example"), *ALL_OF_NAMED[1:]]),
        (BARE, APP, "POST", ("",), [(ORIGIN, APP), (METHODS, "GET, HEAD, POST")]),
        (PUBLIC, "null", "GET", (), [(ORIGIN, "*"), (METHODS, "GET, HEAD, POST")]),
        (PUBLIC, APP, "GET", ("b, A", "B,c"), [(ORIGIN, "*"), (METHODS, "GET, HEAD, POST"), (HEADERS, "b, A, c")]),
        (
            SESSION,
            APP,
            "GET",
            ("authorization",),
            [
                (ORIGIN, APP),
                ("Access-Control-Allow-Credentials", "true"),
                ("Access-Control-Max-Age", "600"),
                (METHODS, "GET, HEAD, POST"),
                (HEADERS, "authorization"),
            ],
        ),
    ],
)
def test_all_that_is_allowed_is_named(cors, origin, method, asked, fields) -> None:
    assert preflight_answer(cors, origin, method, asked) == fields


@pytest.mark.parametrize(
    ("cors", "origin", "method", "asked"),
    [
        (NAMED, "https://evil.example", "GET", ()),
        (NAMED, "null", "GET", ()),
        (NAMED, "*", "GET", ()),
        (NAMED, f"{APP}/", "GET", ()),
        (NAMED, APP.upper(), "GET", ()),
        (NAMED, "", "GET", ()),
        (NAMED, APP, "POST", ()),
        (NAMED, APP, "get", ()),
        (NAMED, APP, "GET, PUT", ()),
        (NAMED, APP, "", ()),
        (NAMED, APP, "GET", ("x-c",)),
        (NAMED, APP, "GET", ("x-a, x-c",)),
        (NAMED, APP, "GET", ("x-a", "x-c")),  # in a second field
        (NAMED, APP, "GET", ("*",)),
        (BARE, APP, "GET", ("x-a",)),
        # They would be echoed.
        (PUBLIC, APP, "GET", ("x a",)),
        (PUBLIC, APP, "GET", ("a, \udce9",)),
        (PUBLIC, APP, "GET", ("a: b",)),
    ],
)
def test_what_is_not_allowed_is_refused_without_a_word_of_the_clients(cors, origin, method, asked) -> None:
    answer = preflight_answer(cors, origin, method, asked)
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.detail) == ("forbidden", "the origin, the method or a header is not allowed here")


class Library(_PreflightHandler):
    """aiohttp-cors by itself, with the options of one route."""

    def __init__(self, cors: Cors) -> None:
        self._cors = cors

    async def _get_config(self, request: web.Request, origin: str, request_method: str) -> Any:
        if request_method not in self._cors.allow_methods:
            raise KeyError(request_method)
        options = aiohttp_cors.ResourceOptions(
            allow_credentials=self._cors.allow_credentials,
            allow_headers="*" if "*" in self._cors.allow_headers else self._cors.allow_headers,
            max_age=None if self._cors.max_age is None else int(self._cors.max_age),
        )
        return dict.fromkeys(self._cors.allow_origins, options)

    def says(self, origin: str, method: str, asked: str | None) -> dict[str, str] | None:
        fields = {"Origin": origin, "Access-Control-Request-Method": method}
        if asked is not None:
            fields["Access-Control-Request-Headers"] = asked
        try:
            response = asyncio.run(self._preflight_handler(make_mocked_request("OPTIONS", "/", headers=fields)))
        except web.HTTPForbidden:
            return None
        return {name: value for name, value in response.headers.items() if name.startswith("Access-Control-")}


NAMES = st.sampled_from(("x-a", "X-A", "x-b", "authorization", "x-c", "", " "))


@given(
    cors=st.sampled_from((NAMED, PUBLIC, SESSION, BARE)),
    origin=st.sampled_from((APP, "https://two.example", "https://evil.example", "null", "*")),
    method=st.sampled_from(("GET", "PUT", "POST", "get")),
    asked=st.none() | st.lists(NAMES, max_size=4).map(",".join),
)
def test_the_library_decides_the_same(cors, origin, method, asked) -> None:
    """It says the same, too, but that it names only what was asked for, in capitals, and echoes any origin."""
    ours = preflight_answer(cors, origin, method, () if asked is None else (asked,))
    theirs = Library(cors).says(origin, method, asked)
    assert isinstance(ours, Refusal) is (theirs is None)
    if isinstance(ours, Refusal) or theirs is None:
        return
    said = dict(ours)
    assert said[ORIGIN] == ("*" if cors is PUBLIC else theirs[ORIGIN])
    for name in ("Access-Control-Allow-Credentials", "Access-Control-Max-Age"):
        assert said.get(name) == theirs.get(name)
    assert theirs[METHODS] in said[METHODS].split(", ")
    named = {name.upper() for name in said.get(HEADERS, "").split(", ")}
    assert {name for name in theirs.get(HEADERS, "").split(",") if name} <= named


@given(st.lists(st.text(st.characters(max_codepoint=0xFF, blacklist_characters="\r\n\0")), max_size=3))
def test_only_tokens_are_echoed(asked) -> None:
    answer = preflight_answer(PUBLIC, APP, "GET", asked)
    if not isinstance(answer, Refusal):
        echoed = dict(answer).get(HEADERS, "X")
        assert re.fullmatch(rf"{TOKEN}(, {TOKEN})*", echoed)


def test_an_origin_that_is_not_named_is_never_echoed() -> None:
    assert cors_fields(NAMED, ["https://evil.example", APP]) == [("Vary", "Origin")]
    assert cors_fields(NAMED, [APP]) == [(ORIGIN, APP), ("Vary", "Origin")]
    assert cors_fields(PUBLIC, ["null"])[0] == (ORIGIN, "*")
