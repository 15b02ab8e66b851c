"""Paths: the one that is matched is the one that is authorised is the one that is forwarded."""

import re
from urllib.parse import unquote_to_bytes

import pytest
import pytest_asyncio
from support.backend import Backend
from support.transcript import Case, Run, forwarded, head, in_runs, passed, played, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

IDENTITY = {"headers": {"X-User-Id": "sub"}}


@pytest.fixture(scope="module")
def routes(backend):
    """All on one backend, which is told the route: what it is told and where it is asked must belong together."""

    def route(name, path, auth="none", methods=None, removed=(), **keys):
        told = {"set": {"X-Route": name}, "remove": list(removed)}
        match = {"path": path} if methods is None else {"path": path, "methods": methods}
        return {"name": name, "match": match, "backend": backend.url, "auth": auth, "identity": IDENTITY,
                "request_headers": told, **keys}  # fmt: skip

    return [
        route("open", "/open/**"),
        route("public", "/public/**"),
        route("admin", "/admin/**", "required"),
        route("strip", "/strip/**", strip_prefix="/strip"),
        route("slashes", "/slashes/**", allow_encoded_slash=True),
        route("stripped-slashes", "/ss/**", allow_encoded_slash=True, strip_prefix="/ss"),
        route("rewrite", "/t/{tenant}/**", rewrite="/v2/{tenant}/{**}"),
        route("tenant", "/only/{tenant}", rewrite="/{tenant}/own"),
        route("reads", "/things/**", methods=["GET"]),
        route("writes", "/things/**", "required", methods=["POST", "DELETE"]),
        route("plain", "/plain/**", removed=["X-HTTP-Method-Override"]),
        route("matrix", "/matrix/**", allow_path_parameters=True),
        route("matrix-admin", "/matrix/admin/**", "required", allow_path_parameters=True),
        route("matrix-strict", "/matrix/strict/**", "required"),
        route("matrix-own", "/matrix/own/{owner}/**", allow_path_parameters=True),
        route("matrix-strip", "/ms/**", allow_path_parameters=True, strip_prefix="/ms"),
        route("matrix-rewrite", "/mr/{tenant}/**", allow_path_parameters=True, rewrite="/v2/{tenant}/{**}"),
    ]


def resolved(target: str) -> list[str]:
    """The segments that the most forgiving of backends would see: decoded once, backslashes and parameters and all."""
    path = unquote_to_bytes(target.partition("?")[0]).decode("latin-1").replace("\\", "/")
    path = re.sub(r"\xc0[\xae.]|\xe0\x80\xae", ".", path).partition("\0")[0]
    return [segment.partition(";")[0] for segment in path.split("/") if segment]


ESCAPES = [
    "/public/../admin/x",
    "/public/..%2fadmin/x",
    "/public/%2e%2e/admin/x",
    "/public/%2E%2E/admin/x",
    "/public/%2e./admin/x",
    "/public/.%2e/admin/x",
    "/public/%2e%2e%2fadmin/x",
    "/public/..;/admin/x",
    "/public/..;a=b/admin/x",
    "/public/%2e%2e;/admin/x",
    "/public/..%3b/admin/x",
    "/public/..%3B/admin/x",
    "/public/./../admin/x",
    "/public/x/../../admin/x",
    "/public/.;/../admin/x",
    "/public/..\\admin/x",
    "/public\\..\\admin\\x",
    "/public/..%5cadmin/x",
    "/public/..%5Cadmin/x",
    "/public%2f..%2fadmin/x",
    "/public%2F..%2Fadmin%2Fx",
    "/public/%c0%ae%c0%ae/admin/x",
    "/public/%c0%2e%c0%2e/admin/x",
    "/public/%e0%80%ae%e0%80%ae/admin/x",
    "/public/..%c0%afadmin/x",
    "/public/..%c1%9cadmin/x",
    "/public/..%00/admin/x",
    "/public/%00/../admin/x",
    "/public/%2e%2e%00/admin/x",
    "/public/%u002e%u002e/admin/x",
    "/public/..",
    "/public/../",
    "/public/..?/x",
    "/public/../admin/x?y",
    "/public/../admin",
    "/..",
    "/../admin/x",
    "/./admin/x",
    "/.//admin/x",
    "/%2e/admin/x",
    "/.;/admin/x",
    "//admin/x",
    "///admin/x",
    "/public//../admin/x",
    "/public//..//admin/x",
    "/public/;/../admin/x",
    "/;/admin/x",
    "/;x/admin/x",
    "/%2f/admin/x",
    "/%2fadmin/x",
    "/%5cadmin/x",
    "/\\admin/x",
    "/admin;/x",
    "/admin;x=y/x",
    "/admin%2fx",
    "/admin%2Fx",
    "/admin%3b/x",
    "/admin%5cx",
    "/admin\\x",
    "/admin//x",
    "/admin/./x",
    "/admin/../admin/x",
    "/admin/",
    "/admin",
    "/admin?",
    "/admin/x?/public/",
    "/admin/%2e%2e/public/x",
    "/%61dmin/x",
    "/%61%64%6d%69%6e/x",
    "/%41dmin/x",
    "/admin%20/x",
    "/admin%09/x",
    "/admin%00/x",
    "/admin./x",
    "/admin%2e/x",
    "/Admin/x",
    "/ADMIN/x",
    "/%2561dmin/x",
    "/public/%252e%252e/admin/x",
    "/public/%25%32%65%25%32%65/admin/x",
    "/public/..%252fadmin/x",
    "/public/%uff0e%uff0e/admin/x",
    "/public/%ef%bc%8e%ef%bc%8e/admin/x",
    "/public/x#/../admin/x",
    "/public/x%23/../admin/x",
    "/public/x%3f/../admin/x",
    "/public/%",
    "/public/%2",
    "/public/%zz/../admin/x",
    "/public/%2%65/admin/x",
    "http://gw.example/public/../admin/x",
    "http://gw.example/admin/x",
    "http://gw.example/%61dmin/x",
    "http://gw.example//admin/x",
    "http://gw.example?/admin/x",
    "HTTP://gw.example/public/%2e%2e/admin/x",
    "http://gw.example/public/..;/admin/x",
    "/strip/../admin/x",
    "/strip/x/../admin/x",
    "/strip/admin/x",
    "/strip//admin/x",
    "/strip/%2e%2e/admin/x",
    "/slashes/..%2fadmin/x",
    "/slashes/..%2f..%2fadmin/x",
    "/slashes/x%2f..%2f..%2fadmin/x",
    "/slashes/%2e%2e%2fadmin/x",
    "/slashes/%2fadmin%2f..",
    "/slashes/x%2f..",
    "/slashes/..;%2fadmin/x",
    "/slashes/.%2f..%2f/admin/x",
    "/slashes%2f..%2fadmin/x",
    "/slashes/..%5cadmin/x",
    "/ss/..%2fadmin/x",
    "/ss/%2fadmin/x",
    "/ss/%2e%2e%2fadmin%2fx",
    "/t/../admin/x",
    "/t/..%2fadmin/x",
    "/t/%2e%2e/admin/x",
    "/t/a/../../admin/x",
    "/only/..",
    "/only/%2e%2e",
    "/only/admin%2f..",
    "/only/..%2fadmin",
    "/matrix/..;/admin/x",
    "/matrix/..;x=y/admin/x",
    "/matrix/%2e%2e%3b/admin/x",
    "/matrix/;/../admin/x",
    "/matrix/;x/admin/x",
    "/matrix/a;%2f..%2f..%2fadmin/x",
    "/matrix/a;/../../admin/x",
    "/matrix;x/admin/x",
    "/matrix/admin;x/x",
    "/matrix/admin%3Bx/x",
    "/matrix/admin;/x",
    "/ms/..;/admin/x",
    "/ms;x/admin/x",
    "/mr/a;x/admin/x",
]
# Where on the backend a route may lead; the others lead anywhere, but never up.
LEADS_TO = {
    "open": "open",
    "public": "public",
    "admin": "admin",
    "slashes": "slashes",
    "rewrite": "v2",
    "matrix": "matrix",
    "matrix-admin": "matrix",
}


@in_runs("target", ESCAPES)
async def test_no_spelling_reaches_admin_without_a_token(stage, target, run):
    seen = await stage.talk(head(b"GET " + target.encode()), run)
    assert seen.rest == b""
    if seen.answers[0].status != 200:
        assert 400 <= seen.answers[0].status < 500
        assert seen.requests == []
        return
    (request,) = seen.requests
    segments, route = resolved(request.target), request.value("X-Route")
    assert request.target.startswith("/")
    assert not request.target.startswith("//")
    assert not {".", ".."}.intersection(segments), request.target
    assert segments[0] == LEADS_TO.get(route, segments[0]), request.target
    if is_guarded := route in {"admin", "matrix-admin"}:
        assert request.value("X-User-Id") == seen.caller
    if route in LEADS_TO:  # what is stripped leads anywhere
        assert is_guarded == (segments[0] == "admin" or segments[:2] == ["matrix", "admin"])
    assert seen.provider_tokens == ([seen.token] if run.has_token and is_guarded else [])


async def test_the_judge_of_spellings_sees_through_them():
    assert resolved("/public/..%3b/%61dmin\\x?y") == ["public", "..", "admin", "x"]


def routed(name: bytes, start: bytes, *lines: bytes, **more: bool) -> bytes:
    return forwarded(start, b"X-Route: " + name, *lines, **{"anonymous": True, **more})


def stripped(name: bytes, start: bytes, prefix: bytes) -> bytes:
    """The backend is told what was taken off the path, as the route's pattern has it."""
    return routed(name, start, b"X-Forwarded-Prefix: " + prefix)


def public(name: str, came: bytes, went: bytes, *, main: bool = False) -> Case:
    return passed(name, head(b"GET " + came), routed(b"public", b"GET " + went), asks=False, main=main)


@played(
    public("twice encoded", b"/public/%2561", b"/public/%2561", main=True),
    public("encoded percent and digits", b"/public/%25%36%31", b"/public/%2561"),
    public("three times encoded", b"/public/%25252e", b"/public/%25252e"),
    public("unreserved", b"/%70ublic/%61%7E%2d%5f", b"/public/a~-_"),
    public("upper-cased", b"/public/%c3%a9", b"/public/%C3%A9"),
    public("reserved", b"/public/%3f%23%26%3d%40%3a", b"/public/%3F%23%26%3D%40%3A"),
    public("semicolons in the query", b"/public/x?a;b=%3b", b"/public/x?a;b=%3b"),
    public("an encoded semicolon, encoded again", b"/public/a%253bb", b"/public/a%253bb"),
    public("query", b"/public/x?%2e%2e/%61&//%2f", b"/public/x?%2e%2e/%61&//%2f"),
    public("dots within names", b"/public/..a/a../...", b"/public/..a/a../..."),
    refused("twice encoded to a triplet cut off", head(b"GET /public/%2%35%36"), 400),
)
async def test_percent_encoding_is_decoded_once_at_most(stage, case, run):
    await stage.play(case, run)


@played(
    passed("protected", head(b"GET /%61dmin/x?/public"), routed(b"admin", b"GET /admin/x?/public", anonymous=False)),
)
async def test_what_was_matched_is_what_is_forwarded_with_a_token(stage, case, run):
    if run.has_token:
        await stage.play(case, run)
    else:
        seen = await stage.talk(case.sends, run)
        assert (seen.answers[0].status, seen.requests, seen.provider_tokens) == (401, [], [])


# Path parameters.


def matrix(name: bytes, came: bytes, went: bytes | None = None, *lines: bytes, main: bool = False) -> Case:
    sent = routed(name, b"GET " + (went or came), *lines)
    return passed(came.decode(), head(b"GET " + came), sent, asks=False, main=main)


@played(
    refused("raw", head(b"GET /public/a;x=1/b"), 400, code="invalid_target", main=True),
    refused("encoded", head(b"GET /public/a%3Bx/b"), 400, code="invalid_target"),
    refused("encoded in lower case", head(b"GET /public/a%3bx"), 400, code="invalid_target"),
    refused("empty", head(b"GET /public/a;"), 400, code="invalid_target"),
    refused("in the first segment", head(b"GET /public;x/b"), 400, code="invalid_target"),
    refused("of a protected route", head(b"GET /admin;x/b"), 400, code="invalid_target"),
    refused("of no route", head(b"GET /nowhere;x/b"), 400, code="invalid_target"),
    refused("with another method", head(b"PUT /things/x;y", b"Content-Length: 0"), 400, code="invalid_target"),
    refused("below a route that allows them", head(b"GET /matrix/strict/a;x"), 400, code="invalid_target"),
    refused("a segment of nothing else", head(b"GET /matrix/;x/a"), 400, code="invalid_target"),
    refused("a captured segment", head(b"GET /matrix/own/bob;x/a"), 400, code="invalid_target"),
    refused("a captured one, encoded", head(b"GET /matrix/own/bob%3Bx/a"), 400, code="invalid_target"),
    refused("a captured one of a rewrite", head(b"GET /mr/acme;x/a"), 400, code="invalid_target"),
    matrix(b"matrix", b"/matrix/a;v=1/b;w", main=True),
    matrix(b"matrix", b"/matrix;v=1/b"),
    matrix(b"matrix", b"/matrix/a%3bv", b"/matrix/a%3Bv"),
    matrix(b"matrix", b"/matrix/a/;jsessionid=1?b;c"),
    matrix(b"matrix-own", b"/matrix/own/bob/a;x"),
    matrix(b"matrix-own", b"/matrix/own;x/bob/a"),
    matrix(b"matrix-strip", b"/ms;x/a;y=1/b?c", b"/a/b?c", b"X-Forwarded-Prefix: /ms"),
    matrix(b"matrix-rewrite", b"/mr/acme/a;y=1/b", b"/v2/acme/a/b"),
)
async def test_path_parameters_go_only_where_a_route_allows_them(stage, case, run):
    await stage.play(case, run)


@in_runs("target", ["/matrix/admin/x;y", "/matrix/admin;y/x", "/matrix/admin%3by/x", "/matrix;y/admin/x"])
async def test_the_policy_is_that_of_the_path_without_parameters(stage, target, run):
    seen = await stage.talk(head(b"GET " + target.encode()), run)
    assert seen.answers[0].status == (200 if run.has_token else 401)
    assert [one.value("X-Route") for one in seen.requests] == (["matrix-admin"] if run.has_token else [])


# The authority of the backend.


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def evil():
    """Another server, which nothing may reach."""
    recording = Backend()
    await recording.start()
    yield recording
    await recording.stop()


TO_EVIL = [
    "//{evil}/x",
    "///{evil}/x",
    "/\\{evil}/x",
    "\\\\{evil}\\x",
    "/%2f{evil}/x",
    "/public//{evil}/x",
    "/public/@{evil}/x",
    "/public/..//{evil}/x",
    "@{evil}/x",
    "@{evil}",
    ":@{evil}/x",
    ".{evil}/x",
    ":80@{evil}/x",
    "{evil}/x",
    "{evil}",
    "http:{evil}/x",
    "http:/{evil}/x",
    "http:///{evil}/x",
    "http://{evil}/public/x",
    "http://{evil}@gw.example/public/x",
    "http://gw.example@{evil}/public/x",
    "http://gw.example:80@{evil}/public/x",
    "http://gw.example%40{evil}/public/x",
    "http://gw.example\\@{evil}/public/x",
    "http://gw.example#@{evil}/public/x",
    "http://gw.example?@{evil}/public/x",
    "http://gw.example/public/http://{evil}/x",
    "https://{evil}/public/x",
    "ftp://{evil}/public/x",
    "javascript://{evil}/public/x",
    "/strip//{evil}/x",
    "/strip/@{evil}/x",
    "/strip/%2f{evil}/x",
    "/strip/\\{evil}/x",
    "/strip@{evil}/x",
    "/ss/%2f{evil}/x",
    "/ss/%2F%2F{evil}/x",
    "/ss%2f{evil}/x",
    "/ss/%40{evil}/x",
    "/t/@{evil}/x",
    "/t/%2f{evil}/x",
    "/t/{evil}/x",
    "/only/@{evil}",
    "/only/%2f{evil}",
    "/only/{evil}",
    "/only/%40{evil}",
    "/only/:80@{evil}",
]


@in_runs("target", TO_EVIL)
async def test_the_backends_authority_never_changes(stage, evil, target, run):
    wire = head(b"GET " + target.format(evil=f"127.0.0.1:{evil.port}").encode())
    seen = await stage.talk(wire, run)
    assert evil.connections == []
    assert len(seen.answers) == 1
    assert seen.answers[0].status == (200 if seen.requests else seen.answers[0].status)
    for request in seen.requests:
        assert request.value("Host") == f"127.0.0.1:{stage.backend.port}"
        assert re.match(r"/(?!/)", request.target)
        assert "%2F" not in request.target or request.value("X-Route") == "stripped-slashes"


@pytest.mark.parametrize("name", [b"Host", b"X-Forwarded-Host", b"X-Host", b"Forwarded"])
async def test_no_header_changes_the_backends_authority(stage, evil, name):
    authority = f"127.0.0.1:{evil.port}".encode()
    value = b"host=" + authority if name == b"Forwarded" else authority
    fields = [] if name == b"Host" else [name + b": " + value]
    wire = head(b"GET /public/x", *fields, host=authority if name == b"Host" else b"gw.example")
    seen = await stage.talk(wire, Run(has_token=False, is_split=False, is_second=True))
    assert evil.connections == []
    assert [one.value("Host") for one in seen.requests] == [f"127.0.0.1:{stage.backend.port}"]


# What strip and rewrite produce.


@played(
    passed("strip", head(b"GET /strip/a%20b/"), stripped(b"strip", b"GET /a%20b/", b"/strip"), asks=False, main=True),
    passed("strip all", head(b"GET /strip"), stripped(b"strip", b"GET /", b"/strip"), asks=False),
    passed("rewrite", head(b"GET /t/acme/x?y"), routed(b"rewrite", b"GET /v2/acme/x?y"), asks=False),
    passed("rewrite with an at", head(b"GET /only/@x"), routed(b"tenant", b"GET /@x/own"), asks=False),
    passed("rewrite once", head(b"GET /t/{**}/x"), routed(b"rewrite", b"GET /v2/{**}/x"), asks=False),
    passed("rewrite with a question mark", head(b"GET /only/a%3fb"), routed(b"tenant", b"GET /a%3Fb/own"), asks=False),
    passed("an encoded slash stays one", head(b"GET /slashes/a%2fb"), routed(b"slashes", b"GET /slashes/a%2Fb"),
           asks=False),
    refused("strip to two slashes", head(b"GET /strip//x"), 400),
    refused("strip to a dot segment", head(b"GET /strip/..;/x"), 400),
    refused("dots behind an encoded slash", head(b"GET /slashes/a%2f..%2fb"), 400, main=True),
    refused("dots at the end behind one", head(b"GET /ss/a%2f.."), 400),
    passed("strip to encoded slashes", head(b"GET /ss/%2f%2fx"), stripped(b"stripped-slashes", b"GET /%2F%2Fx", b"/ss"),
           asks=False),
    refused("encoded parameter", head(b"GET /public/..%3bx/y"), 400),
    refused("empty tenant", head(b"GET /only//"), 400),
)  # fmt: skip
async def test_what_strip_or_rewrite_produces_is_checked_again(stage, case, run):
    await stage.play(case, run)


# Nothing becomes a header line.

LINE_BREAKS = [
    "%0d%0aX-Admin:%201",
    "%0aX-Admin:%201",
    "%0d%0a%0d%0aGET%20/admin%20HTTP/1.1",
    "%E5%98%8A%E5%98%8DX-Admin:1",
]


@pytest.mark.parametrize("path", ["/public/{}", "/public/x?{}", "/strip/{}", "/t/{}/x", "/only/{}", "/slashes/{}"])
@pytest.mark.parametrize("breaks", LINE_BREAKS)
async def test_nothing_in_a_target_becomes_a_header_line(stage, path, breaks):
    wire = head(b"GET " + path.format(breaks).encode())
    seen = await stage.talk(wire, Run(has_token=True, is_split=False, is_second=True))
    assert len(seen.answers) == 1
    assert b"X-Admin" not in seen.answers[0].head
    for request in seen.requests:
        assert len(request.names) == 7 + ("x-forwarded-prefix" in request.names), request.head
        assert not any(name.startswith("x-admin") for name in request.names)


@pytest.mark.parametrize(
    "value", ["x%0d%0aX-Admin: 1", "x\\r\\nX-Admin: 1", "x\u010d\u010aX-Admin: 1", "x\u2028X-Admin: 1"]
)
@pytest.mark.parametrize("name", ["X-A", "Origin", "X-Request-Id", "X-Forwarded-For", "Via", "Referer", "Cookie"])
async def test_nothing_in_a_value_becomes_a_header_line(stage, name, value):
    """The last two are characters whose lower bytes are CR and LF, or that some take for a line's end."""
    line = f"{name}: {value}".encode()
    wire = head(b"GET /public/x", line)
    seen = await stage.talk(wire, Run(has_token=True, is_split=False, is_second=False))
    (answer,), (sent,) = seen.answers, seen.requests
    assert answer.status == 200
    lines = sent.head.split(b"\r\n")
    assert not any(one.lower().startswith(b"x-admin") for one in [*lines, *answer.head.split(b"\r\n")])
    if name in {"X-Request-Id", "X-Forwarded-For"}:
        assert value.encode() not in sent.head  # the gateway's own stands there
    else:
        assert [one for one in lines if one.startswith(line)]  # every byte, on one line


# The method.

GET_THINGS, POST_THINGS = b"GET /things/x", b"POST /things/x"
OVERRIDES = [b"X-HTTP-Method-Override", b"x-http-method-override", b"X-HTTP-Method", b"X-Method-Override"]


@played(
    *(
        passed(name.decode(), head(GET_THINGS, name + b": DELETE"), routed(b"reads", GET_THINGS, name + b": DELETE"),
               asks=False, main=name == OVERRIDES[0])
        for name in OVERRIDES
    ),
    passed("in the query", head(GET_THINGS + b"?_method=DELETE"), routed(b"reads", GET_THINGS + b"?_method=DELETE"),
           asks=False),
    passed("removed", head(b"GET /plain/x", b"X-HTTP-Method-Override: DELETE", b"x-http-method-override: PUT",
                           b"X_HTTP_Method_Override: DELETE", b"x.http.method.override: DELETE"),
           routed(b"plain", b"GET /plain/x"), asks=False),
)  # fmt: skip
async def test_no_header_changes_the_method_that_is_matched_or_sent(stage, case, run):
    """It is the one of the request line; what a backend makes of such a header is between it and its operator."""
    await stage.play(case, run)


@in_runs("name", [name.decode() for name in OVERRIDES])
async def test_nor_does_one_lead_to_another_methods_route(stage, name, run):
    seen = await stage.talk(head(POST_THINGS, f"{name}: GET".encode(), b"Content-Length: 0"), run, methods=("POST",))
    (answer,) = seen.answers
    assert answer.status == (200 if run.has_token else 401)
    assert [(one.method, one.value("X-Route"), one.value("X-User-Id")) for one in seen.requests] == (
        [("POST", "writes", seen.caller)] if run.has_token else []
    )
