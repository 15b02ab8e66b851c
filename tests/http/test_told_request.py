"""Tables of what a subrequest may tell; each row names the whole head of one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.refusal import Refusal
from gateway.http.request_fields import fields_of_text
from gateway.http.told_request import SubrequestFates, Told, read_told

IDENTITY = ("X-User-Id", "X-Roles")
FORWARDED = [("X-Forwarded-Method", "POST"), ("X-Forwarded-Uri", "/a?b=1"), ("X-Forwarded-Host", "api.example.com")]
ORIGINAL = [("X-Original-Method", "POST"), ("X-Original-URL", "https://api.example.com/a?b=1")]


def told(*fields, target="/", method="GET", scheme="http"):
    pairs = [("Host", "proxy.internal"), *fields]
    return read_told(method, target, fields_of_text(SubrequestFates(IDENTITY), pairs), scheme)


def refused(*fields, **more):
    result = told(*fields, **more)
    assert isinstance(result, Refusal), result.__class__
    assert result.code == "invalid_request"
    return result


def proto_of(result):
    return [value for name, value in result.fields.of_proxies if name == "x-forwarded-proto"]


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        (FORWARDED, {}),
        (FORWARDED[::-1], {"target": "/whatever", "method": "HEAD"}),
        ([(name.lower(), value) for name, value in FORWARDED], {}),
        (ORIGINAL, {}),
        ([(name.upper(), value) for name, value in ORIGINAL], {}),
        ([("Host", "api.example.com")], {"target": "/envoy/a?b=1", "method": "POST"}),
    ],
)
def test_each_way_tells_the_same_request(fields, more):
    if more.get("target", "").startswith("/envoy"):
        result = read_told("POST", "/envoy/a?b=1", fields_of_text(SubrequestFates(IDENTITY), fields), "http")
    else:
        result = told(*fields, **more)
    assert isinstance(result, Told)
    assert (result.method, result.target, list(result.fields.hosts)) == ("POST", "/a?b=1", ["api.example.com"])


NONE_OR_TWO = "a request is told in exactly one way"


@pytest.mark.parametrize(
    ("fields", "target", "detail"),
    [
        ([], "/", NONE_OR_TWO),
        ([], "/envoy", NONE_OR_TWO),
        ([], "/envoyer/a", NONE_OR_TWO),
        ([], "/%65nvoy/a", NONE_OR_TWO),
        ([("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-Proto", "https")], "/", NONE_OR_TWO),
        ([*FORWARDED, *ORIGINAL], "/", NONE_OR_TWO),
        ([*FORWARDED, ORIGINAL[1]], "/", NONE_OR_TWO),
        ([*ORIGINAL, FORWARDED[1]], "/", NONE_OR_TWO),
        ([*ORIGINAL, FORWARDED[2]], "/", NONE_OR_TWO),
        (FORWARDED, "/envoy/a", NONE_OR_TWO),
        (ORIGINAL, "/envoy/a", NONE_OR_TWO),
        ([FORWARDED[2]], "/envoy/a", NONE_OR_TWO),
        *((FORWARDED[:place] + FORWARDED[place + 1 :], "/", "the request is told by half") for place in range(3)),
        ([ORIGINAL[0]], "/", "the request is told by half"),
        ([ORIGINAL[1]], "/", "the request is told by half"),
        *(([*FORWARDED, field], "/", "the request is told twice") for field in FORWARDED),
        *(([*ORIGINAL, field], "/", "the request is told twice") for field in ORIGINAL),
        ([*FORWARDED, ("x-forwarded-URI", "/b")], "/", "the request is told twice"),
        ([("X-Original-Method", "GET"), ("X-Original-URL", "/a")], "/", "X-Original-URL is not a whole URL"),
        ([("X-Original-Method", "GET"), ("X-Original-URL", "ftp://a/b")], "/", "X-Original-URL is not a whole URL"),
        *(
            ([("X-Original-Method", "GET"), ("X-Original-URL", f"https://a{after}")], "/", "X-Original-URL has no path")
            for after in ("?/b", "?", "#/b", "#", "?/b/?c=d")
        ),
        ([("X-Original-Method", ""), ORIGINAL[1]], "/", "the method that was told is not a method"),
        ([("X-Original-Method", "GET /a"), ORIGINAL[1]], "/", "the method that was told is not a method"),
        (
            [*FORWARDED[::2], ("X-Forwarded-Uri", "https://other.example/a")],
            "/",
            "the request is told with two hosts",
        ),
    ],
)
def test_what_is_not_told_in_exactly_one_way_is_refused(fields, target, detail):
    assert refused(*fields, target=target).detail == detail


SPELLINGS = ["X_User_Id", "x.user.id", "X!User!Id", "XUserId", "x-userid", "X-User_Id", "X__Roles", "xroles"]
OTHERS = [
    "X_Forwarded_Uri",
    "X-Forwarded.Host",
    "XOriginalURL",
    "X_Original_Method",
    "Author-ization",
    "AUTHORIZATION_",
]


@pytest.mark.parametrize("name", [*SPELLINGS, *OTHERS])
@pytest.mark.parametrize("way", [FORWARDED, ORIGINAL])
def test_another_spelling_of_what_decides_is_refused(name, way):
    refusal = refused(*way, (name, "root"))
    assert refusal.reason == name


@pytest.mark.parametrize("name", ["X-User-Id", "x-user-id", "X-ROLES", "Authorization", "X-User", "Forwarded", "X_Env"])
def test_the_plain_spelling_and_other_names_pass_and_are_not_read(name):
    assert isinstance(told(*FORWARDED, (name, "root")), Told)


@pytest.mark.parametrize(
    ("fields", "scheme", "expected"),
    [
        (FORWARDED, "http", "http"),
        (FORWARDED, "https", "https"),
        ([*FORWARDED, ("X-Forwarded-Proto", "https")], "http", "https"),
        ([*FORWARDED, ("X-Forwarded-Proto", "http, HTTPS")], "http", "https"),
        ([*FORWARDED, ("X-Forwarded-Proto", "wss")], "http", "https"),
        ([*FORWARDED, ("X-Forwarded-Proto", "gopher")], "http", "http"),
        ([("X-Forwarded-Proto", "http"), *ORIGINAL], "http", "https"),
        ([*ORIGINAL, ("X-Forwarded-Proto", "http")], "http", "https"),
    ],
)
def test_the_scheme_is_the_told_one(fields, scheme, expected):
    assert proto_of(told(*fields, scheme=scheme)) == [expected]


def test_what_the_client_says_of_itself_beside_that_is_not_believed():
    fields = [("Forwarded", "for=1.2.3.4;host=evil"), ("X-Forwarded-Prefix", "/x"), ("X-Forwarded-Port", "1")]
    result = told(*ORIGINAL, *fields, ("X-Forwarded-For", "10.0.0.1"), ("X-Request-Id", "abc"))
    assert result.fields.of_proxies == [
        ("x-forwarded-for", "10.0.0.1"),
        ("x-request-id", "abc"),
        ("x-forwarded-proto", "https"),
    ]


def test_the_framing_is_that_of_the_subrequest():
    result = told(*FORWARDED, ("Content-Length", "7"), ("Transfer-Encoding", "chunked"), ("Connection", "x"))
    fields = result.fields
    assert (fields.lengths, fields.encodings, fields.options, fields.kept) == ((), (), (), [])


NAMES = [*(name for name, _ in (*FORWARDED, *ORIGINAL)), *SPELLINGS, *OTHERS, "X-User-Id", "Accept"]


@given(st.lists(st.sampled_from(NAMES), max_size=8), st.sampled_from(["/", "/envoy/a", "/envoy"]))
def test_whatever_comes_is_told_by_one_complete_way_or_refused(names, target):
    values = dict((*FORWARDED, *ORIGINAL))
    result = told(*((name, values.get(name, "v")) for name in names), target=target)
    forwarded = [names.count(name) for name, _ in FORWARDED]
    original = [names.count(name) for name, _ in ORIGINAL]
    ways = [forwarded == [1, 1, 1], original == [1, 1], target == "/envoy/a"]
    is_plain = sum(ways) == 1 and sum(map(bool, (sum(forwarded), sum(original), target == "/envoy/a"))) == 1
    is_plain = is_plain and not set(names) & {*SPELLINGS, *OTHERS}
    assert isinstance(result, Told) is is_plain
