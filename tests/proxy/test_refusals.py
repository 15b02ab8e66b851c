"""Every refusal with its status, code, challenge and form, and what backend and provider saw of it."""

import re
import time

import pytest
from support.scripted_provider import Fault, Reply
from support.wire import request

NOW = int(time.time())
ROUTES = {
    "scoped": {"auth": {"scopes": ["admin:all", "orders:read"]}},
    "any": {"auth": {"any_scope": ["a:b", "c:d"]}},
    "role": {"auth": {"roles": ["owner"]}},
    "claim": {"auth": {"claims": {"acr": "gold"}}},
    "audience": {"auth": {"audience": ["orders-api"]}},
    "issuer": {"auth": {"issuer": "https://sso.example.com"}},
    "optional": {"auth": "optional"},
    "open": {"auth": "none"},
    "reader": {"match": {"path": "/reader/**", "methods": ["GET"]}},
    "writer": {"match": {"path": "/reader/**", "methods": ["POST"]}},
    "small": {"max_body": "1KiB", "auth": "none"},
    "claims": {"identity": {"headers": {"X-Name": "name"}}},
}


@pytest.fixture
async def gateway(serve, backend):
    routes = [
        {"name": name, "match": {"path": f"/{name}/**"}, "backend": backend.url, **keys}
        for name, keys in ROUTES.items()
    ]
    return await serve(routes, server={"max_header_bytes": "4KiB", "max_headers": 20, "max_body": "2KiB"})


def refused(answer, status, code):
    assert (answer.status, answer.code) == (status, code)
    assert re.fullmatch(r"[0-9a-f]{32}", answer.value("X-Request-Id"))
    assert answer.value("Server") is None
    assert answer.value("Cache-Control") == "no-store"
    return answer


async def test_without_a_token_there_is_a_401_whose_challenge_has_no_error(gateway, backend, provider):
    answer = refused(await gateway.get("/any/x"), 401, "token_missing")
    assert answer.value("WWW-Authenticate") == 'Bearer realm="gateway"'
    assert backend.requests == []
    assert provider.calls == []


async def test_another_scheme_than_bearer_is_no_token(gateway, provider):
    answer = refused(await gateway.get("/any/x", "Authorization: Basic YTpi"), 401, "token_missing")
    assert "error" not in answer.value("WWW-Authenticate")
    assert provider.calls == []


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
async def test_the_scheme_may_be_written_in_any_case(gateway, backend, scheme):
    answer = await gateway.get("/optional/x", f"Authorization: {scheme} good")
    assert answer.status == 200
    assert backend.requests[0].value("X-User-Id") == "alice"


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        ("/any/x", {"active": False}),
        ("/any/x", {"active": False, "sub": "alice", "exp": NOW + 10_000}),
        ("/any/x", {"active": True, "exp": NOW - 1}),
        ("/any/x", {"active": True, "exp": 0}),
        ("/any/x", {"active": True, "nbf": NOW + 10_000}),
        ("/audience/x", {"active": True, "aud": "others-api"}),
        ("/audience/x", {"active": True}),
        ("/issuer/x", {"active": True, "iss": "https://evil.example.com"}),
        ("/issuer/x", {"active": True}),
    ],
)
async def test_a_token_that_is_no_good_here_is_a_401(gateway, provider, backend, path, claims):
    provider.answers["bad"] = claims
    answer = refused(await gateway.get(path, token="bad"), 401, "invalid_token")
    assert answer.value("WWW-Authenticate").startswith('Bearer realm="gateway", error="invalid_token"')
    assert backend.requests == []


async def test_a_bad_token_is_refused_where_a_token_is_optional(gateway, backend):
    refused(await gateway.get("/optional/x", token="junk"), 401, "invalid_token")
    assert (await gateway.get("/optional/x")).status == 200
    assert [one.value("X-User-Id") for one in backend.requests] == [None]


@pytest.mark.parametrize(
    "lines",
    [
        ["Authorization: Bearer good", "Authorization: Bearer good"],
        ["Authorization: Bearer good", "authorization: Basic YTpi"],
        ["Authorization: Bearer good, Bearer good"],
        ["Authorization: Bearer good good"],
        ["Authorization: Bearer go=od"],
        ["Authorization: Bearer g\u00f6\u00f6d"],
        ["Authorization: Bearer"],
        ["Authorization: Bearer  "],
        ["Authorization: Bearer\tgood"],
    ],
)
async def test_a_malformed_authorization_is_a_400_and_nobody_is_asked(gateway, backend, provider, lines):
    answer = refused(await gateway.get("/optional/x", *lines), 400, "invalid_request")
    assert 'error="invalid_request"' in answer.value("WWW-Authenticate")
    assert backend.requests == []
    assert provider.calls == []


async def test_a_missing_scope_is_named(gateway, backend):
    answer = refused(await gateway.get("/scoped/x", token="good"), 403, "insufficient_scope")
    challenge = answer.value("WWW-Authenticate")
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="admin:all orders:read"' in challenge
    answer = refused(await gateway.get("/any/x", token="good"), 403, "insufficient_scope")
    assert 'scope="a:b c:d"' in answer.value("WWW-Authenticate")
    assert backend.requests == []


@pytest.mark.parametrize("path", ["/role/x", "/claim/x"])
async def test_a_missing_role_or_claim_is_forbidden(gateway, backend, path):
    answer = refused(await gateway.get(path, token="good"), 403, "forbidden")
    assert answer.value("WWW-Authenticate") == 'Bearer realm="gateway"'
    assert backend.requests == []


async def test_a_control_character_in_a_claim_refuses_the_request(gateway, provider, backend):
    provider.answers["crlf"] = {"active": True, "sub": "x", "name": "a\r\nX-Admin: 1"}
    refused(await gateway.get("/claims/x", token="crlf"), 403, "unsafe_claim")
    assert backend.requests == []


async def test_no_route_is_a_404(gateway, backend):
    refused(await gateway.get("/nowhere", token="good"), 404, "no_route")
    assert backend.requests == []


@pytest.mark.parametrize("method", ["DELETE", "OPTIONS"])
async def test_a_wrong_method_is_a_405_with_allow(gateway, backend, method):
    answer = refused(await gateway.ask(request(method, "/reader/x", token="good")), 405, "method_not_allowed")
    assert answer.value("Allow") == "GET, HEAD, POST"
    assert backend.requests == []


async def test_an_introspection_that_fails_is_a_503_with_retry_after(gateway, provider, backend):
    provider.fault = Fault.RESET
    answer = refused(await gateway.get("/any/x", token="good"), 503, "introspection_unavailable")
    assert int(answer.value("Retry-After")) >= 1
    assert answer.value("WWW-Authenticate") is None
    assert backend.requests == []


async def test_a_provider_that_asks_for_patience_is_quoted(gateway, provider):
    provider.default = Reply(429, {}, headers={"Retry-After": "17"})
    answer = refused(await gateway.get("/any/x", token="new"), 503, "introspection_unavailable")
    assert answer.value("Retry-After") == "17"


async def test_a_body_that_is_declared_too_large_is_a_413(gateway, backend):
    async with await gateway.client() as client:
        await client.send(request("POST", "/small/x", "Content-Length: 1025"))
        refused(await client.answer(), 413, "content_too_large")
        assert await client.rest() == b""
    assert (await gateway.ask(request("POST", "/small/x", body=b"x" * 1024))).status == 200
    assert [len(one.body) for one in backend.requests] == [1024]


async def test_the_servers_limit_holds_where_the_route_has_none(gateway, backend):
    refused(await gateway.ask(request("POST", "/open/x", "Content-Length: 2049")), 413, "content_too_large")
    assert (await gateway.ask(request("POST", "/open/x", body=b"x" * 2048))).status == 200


@pytest.mark.parametrize("length", [4100, 8500, 20_000, 200_000])
async def test_a_long_target_is_a_414(gateway, backend, length):
    refused(await gateway.get("/open/" + "x" * length), 414, "uri_too_long")
    assert backend.requests == []


async def test_a_long_target_that_has_no_end_is_a_414(gateway):
    refused(await gateway.ask(b"GET /" + b"x" * 20_000), 414, "uri_too_long")


@pytest.mark.parametrize("length", [4100, 8500, 20_000, 200_000])
async def test_large_headers_are_a_431(gateway, backend, length):
    refused(await gateway.get("/open/x", "X-Big: " + "x" * length), 431, "headers_too_large")
    assert backend.requests == []


async def test_headers_without_an_end_are_a_431(gateway):
    refused(await gateway.ask(b"GET /open/x HTTP/1.1\r\nHost: a\r\nX-Big: " + b"x" * 20_000), 431, "headers_too_large")


@pytest.mark.parametrize("count", [20, 60, 1000])
async def test_many_headers_are_a_431(gateway, backend, count):
    lines = [f"X-{number}: a" for number in range(count)]
    refused(await gateway.get("/open/x", *lines), 431, "headers_too_large")
    assert backend.requests == []


async def test_as_many_headers_as_allowed_pass(gateway, backend):
    assert (await gateway.get("/open/x", *[f"X-{number}: a" for number in range(19)])).status == 200


BROKEN = {
    "nonsense": b"hello\r\n\r\n",
    "no host": b"GET /open/x HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /open/x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "host with a path": b"GET /open/x HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with a user": b"GET /open/x HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "empty host": b"GET /open/x HTTP/1.1\r\nHost:\r\n\r\n",
    "host is a list": b"GET /open/x HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "blank before the colon": b"GET /open/x HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
    "obs-fold": b"GET /open/x HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    "first line folded": b"GET /open/x HTTP/1.1\r\n Host: a\r\n\r\n",
    "bare LF": b"GET /open/x HTTP/1.1\nHost: a\n\n",
    "bare LF in a field": b"GET /open/x HTTP/1.1\r\nHost: a\r\nX: a\nY: b\r\n\r\n",
    "bare CR": b"GET /open/x HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n",
    "NUL": b"GET /open/x HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "control": b"GET /open/x HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n",
    "DEL": b"GET /open/x HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n",
    "bad name": b"GET /open/x HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\n",
    "empty name": b"GET /open/x HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "no colon": b"GET /open/x HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    "two lengths": b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "two equal lengths": b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "a list of lengths": b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
    "signed length": b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
    "negative length": b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na",
    "hex length": b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na",
    "empty length": b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\na",
    "huge length": b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\na",
    "length and chunks": (
        b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunks and length": (
        b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
    ),
    "another coding": b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
    "chunked twice": b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks in 1.0": b"POST /open/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "connect": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "trace": b"TRACE /open/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "version 0.9": b"GET /open/x\r\n\r\n",
    "version 1.9": b"GET /open/x HTTP/1.9\r\nHost: a\r\n\r\n",
    "lower-case version": b"GET /open/x http/1.1\r\nHost: a\r\n\r\n",
    "lower-case method": b"get /open/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a blank in the target": b"GET /open/x y HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "fragment": b"GET /open/x#y HTTP/1.1\r\nHost: a\r\n\r\n",
    "dot segment": b"GET /open/../api HTTP/1.1\r\nHost: a\r\n\r\n",
    "encoded dot segment": b"GET /open/%2e%2E/api HTTP/1.1\r\nHost: a\r\n\r\n",
    "empty segment": b"GET //open/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "encoded slash": b"GET /open/a%2fb HTTP/1.1\r\nHost: a\r\n\r\n",
    "non-ASCII": b"GET /open/\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "raw Latin-1": b"GET /open/\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "bad triplet": b"GET /open/%zz HTTP/1.1\r\nHost: a\r\n\r\n",
    "another scheme": b"GET ftp://a/open/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "no path": b"GET open/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "no token, control in the target": b"GET /open/\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("piece", [None, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize("wire", BROKEN.values(), ids=BROKEN)
async def test_what_is_no_sound_request_is_a_400_and_the_end_of_the_connection(gateway, backend, provider, wire, piece):
    async with await gateway.client() as client:
        await client.send(wire, piece=piece)
        answer = await client.answer()
        assert answer.status == 400
        assert answer.code in {"invalid_request", "invalid_target"}
        assert answer.value("Server") is None
        assert answer.value("Connection") == ("close" if answer.version == "1.1" else None)
        assert await client.rest() == b""
    assert backend.requests == []
    assert provider.calls == []
    assert (await gateway.log_line())["request_id"] == answer.value("X-Request-Id")
    assert gateway.lines.requests[0]["status"] == 400


@pytest.mark.parametrize("wire", BROKEN.values(), ids=BROKEN)
async def test_the_same_behind_a_sound_request(gateway, backend, wire):
    async with await gateway.client() as client:
        await client.send(request("GET", "/open/first"))
        assert (await client.answer()).status == 200
        await client.send(wire)
        assert (await client.answer()).status == 400
        assert await client.rest() == b""
    assert [one.target for one in backend.requests] == ["/open/first"]


@pytest.mark.parametrize("wire", BROKEN.values(), ids=BROKEN)
async def test_a_broken_request_pipelined_behind_a_sound_one_ends_the_connection(gateway, backend, wire):
    async with await gateway.client() as client:
        await client.send(request("GET", "/open/first") + wire + request("GET", "/open/third"))
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 400
        assert await client.rest() == b""
    assert [one.target for one in backend.requests] == ["/open/first"]


@pytest.mark.parametrize(
    ("wire", "method", "path", "status"),
    [
        (b"LIST /any/v1?secret=1 HTTP/1.1\r\n\r\n", "LIST", "/any/v1", 400),
        (b"LIST /any/v1?secret=1 HTTP/2.0\r\nHost: a\r\n\r\n", "LIST", "/any/v1", 505),
        (b"BREW /api/v1?secret=1 HTTP/1.1\r\nHost: a\r\n\r\n", "BREW", "/api/v1", 404),
        (b"get /any/v1 HTTP/1.1\r\nHost: a\r\n\r\n", "get", "/any/v1", 400),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT", "a:443", 400),
        (b"GET /any/v1 HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "GET", "/any/v1", 400),
        (b"GET /any/v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "GET", "/any/v1", 400),
    ],
)
async def test_a_refusal_is_recorded_with_what_was_asked_for(gateway, wire, method, path, status):
    assert (await gateway.ask(wire)).status == status
    line = await gateway.log_line()
    assert (line["method"], line["path"], line["status"]) == (method, path, status)
    assert b"secret" not in b"".join(gateway.lines.raw)


async def test_a_400_tells_no_more_than_that(gateway):
    answer = await gateway.ask(b"GET /open/secret HTTP/1.1\r\nHost: a\r\nAuthorization : Bearer secret\r\n\r\n")
    assert b"secret" not in answer.head + answer.body
    assert b"secret" not in b"".join(gateway.lines.raw)


async def test_a_head_request_that_is_refused_has_no_body(gateway):
    async with await gateway.client() as client:
        await client.send(request("HEAD", "/any/x") + request("GET", "/any/y"))
        first = await client.answer("HEAD")
        assert first.status == 401
        assert int(first.value("Content-Length")) > 0
        assert (await client.answer()).code == "token_missing"
