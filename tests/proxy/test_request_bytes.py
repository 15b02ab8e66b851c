"""What reaches the backend of a request's head, byte by byte."""

import re

import pytest
from support.wire import request

ID = re.compile(r"[0-9a-f]{32}")


def route(there, name="r", path="/**", **keys):
    return {"name": name, "match": {"path": path}, "backend": there.url, "auth": "none", **keys}


def authority(backend):
    return f"127.0.0.1:{backend.port}"


async def test_the_whole_head_as_it_is_sent(serve, backend):
    gateway = await serve()
    answer = await gateway.get("/api/x?b=1&a=%20", "Accept: */*", "x-MiXed: v1, v2", token="good")
    request_id = answer.value("X-Request-Id")
    assert ID.fullmatch(request_id)
    assert backend.requests[0].head.decode() == (
        "GET /api/x?b=1&a=%20 HTTP/1.1\r\n"
        f"Host: {authority(backend)}\r\n"
        "Accept: */*\r\n"
        "x-MiXed: v1, v2\r\n"
        f"X-Request-Id: {request_id}\r\n"
        "X-Forwarded-For: 127.0.0.1\r\n"
        "X-Forwarded-Proto: http\r\n"
        "X-Forwarded-Host: gw.example\r\n"
        "Via: 1.1 gateway\r\n"
        "X-User-Id: alice\r\n"
        "X-User-Name: alice.b\r\n"
        "X-Client-Id: web\r\n"
        "X-Scopes: orders:read orders:write\r\n"
        "X-Roles: manager,clerk\r\n"
        "\r\n"
    )
    assert (await gateway.log_line())["request_id"] == request_id


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/a",
        "/a/",
        "/a?",
        "/?",
        "/a?b",
        "/a?b=c&b=d&&=",
        "/a?b=%2f%2F%5c%00%0d%0A+%20",
        "/a?/../..//?#".rstrip("#"),
        '/a?q={}|\\^`"<>[]',
        "/a,v=1/b,c=d:e@f/!$&'()*+",
        "/a?b;c=d%3Be",
        "/a%20b/%C3%A9/%FF/%25/%3F/%23",
        "/a..b/.../.hidden/~user",
        "/" + "x/" * 200,
        "/x:y/@evil.example/http:/x",
        "/a'\"<>{}|^`",
    ],
)
async def test_path_and_query_pass_byte_for_byte(serve, backend, target):
    gateway = await serve([route(backend)])
    answer = await gateway.get(target)
    assert answer.status == 200, answer
    assert backend.requests[0].target == target


@pytest.mark.parametrize(
    ("target", "passed"),
    [("/%61%7e%2D", "/a~-"), ("/%c3%a9", "/%C3%A9"), ("/a%2eb", "/a.b"), ("/%41?%41%c3", "/A?%41%c3")],
)
async def test_the_path_goes_out_normalised_and_the_query_does_not(serve, backend, target, passed):
    gateway = await serve([route(backend)])
    assert (await gateway.get(target)).status == 200
    assert backend.requests[0].target == passed


async def test_the_backends_own_path_comes_before(serve, backend):
    gateway = await serve(
        [
            route(backend, "plain", "/plain/**", backend=f"{backend.url}/base"),
            route(backend, "strip", "/strip/**", backend=f"{backend.url}/base/", strip_prefix="/strip"),
            route(backend, "rewrite", "/t/{tenant}/x/**", rewrite="/v2/{tenant}/{**}"),
            route(backend, "slash", "/s/**", allow_encoded_slash=True),
        ]
    )
    for target in ("/plain/a?b", "/strip", "/strip/", "/strip/a%20b?", "/t/acme/x/y/z?q", "/s/a%2fb"):
        answer = await gateway.get(target)
        assert answer.status == 200, (target, answer)
    assert [one.target for one in backend.requests] == [
        "/base/plain/a?b",
        "/base/",
        "/base/",
        "/base/a%20b?",
        "/v2/acme/y/z?q",
        "/s/a%2Fb",
    ]


async def test_host_is_the_backends_own_or_the_clients(serve, backend):
    gateway = await serve(
        [route(backend, "own", "/own"), route(backend, "kept", "/kept", preserve_host=True)],
    )
    for path in ("/own", "/kept"):
        assert (await gateway.ask(request("GET", path, host="API.example.com:8443"))).status == 200
    assert [one.value("Host") for one in backend.requests] == [authority(backend), "API.example.com:8443"]
    assert [one.value("X-Forwarded-Host") for one in backend.requests] == ["API.example.com:8443"] * 2


async def test_the_authority_of_an_absolute_target_replaces_host(serve, backend):
    routes = [route(backend, "a", preserve_host=True)]
    routes[0]["match"]["host"] = "real.example"
    gateway = await serve(routes)
    answer = await gateway.ask(request("GET", "http://real.example:81/x?y", host="other.example"))
    assert answer.status == 200
    assert (backend.requests[0].target, backend.requests[0].value("Host")) == ("/x?y", "real.example:81")
    assert backend.requests[0].value("X-Forwarded-Host") == "real.example:81"
    assert (await gateway.ask(request("GET", "http://real.example?y", host="other.example"))).status == 200
    assert backend.requests[1].target == "/?y"
    assert (await gateway.ask(request("GET", "http://other.example/x", host="real.example"))).code == "no_route"


async def test_an_address_as_host_is_told_in_its_one_form(serve, backend):
    gateway = await serve([route(backend, "a", preserve_host=True)])
    assert (await gateway.ask(request("GET", "/a", host="[2001:0DB8:0::1]:81"))).status == 200
    assert backend.requests[0].value("Host") == "[2001:db8::1]:81"
    assert backend.requests[0].value("X-Forwarded-Host") == "[2001:db8::1]:81"


async def test_no_spelling_of_an_address_leads_to_another_route(serve, backend):
    routes = [route(backend, "six", auth="required"), route(backend, "four", auth="required"), route(backend, "any")]
    routes[0]["match"]["host"], routes[1]["match"]["host"] = "[2001:db8::1]", "127.0.0.1"
    gateway = await serve(routes)
    for host in ("[2001:db8::1]", "[2001:DB8:0::1]:80", "[2001:0db8:0:0:0:0:0:1]", "127.0.0.1", "127.0.0.1.",
                 "[::ffff:127.0.0.1]", "[::ffff:7f00:1]:80"):  # fmt: skip
        assert (await gateway.ask(request("GET", "/a", host=host))).code == "token_missing", host
    for host in ("127.1", "0177.0.0.1", "0x7f.1", "2130706433", "127.0.0.01", "[::ffff:127.1]"):
        assert (await gateway.ask(request("GET", "/a", host=host))).code == "invalid_request", host
    assert (await gateway.ask(request("GET", "/a", host="127.0.0.2"))).status == 200


async def test_http_10_without_host_is_served_by_a_route_of_any_host(serve, backend):
    routes = [route(backend, "a", preserve_host=True), route(backend, "b", "/b")]
    routes[1]["match"]["host"] = "api.example.com"
    gateway = await serve(routes)
    assert (await gateway.ask(b"GET /a HTTP/1.0\r\n\r\n")).status == 200
    seen = backend.requests[0]
    assert seen.value("Host") == authority(backend)
    assert "x-forwarded-host" not in seen.names
    assert seen.value("Via") == "1.0 gateway"
    assert (await gateway.ask(b"GET /b HTTP/1.0\r\n\r\n")).status == 200
    assert [one.target for one in backend.requests] == ["/a", "/b"]
    assert (await gateway.ask(b"GET /a HTTP/1.1\r\n\r\n")).code == "invalid_request"


async def test_via_is_appended_and_traceparent_passes(serve, backend):
    gateway = await serve()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await gateway.get("/open/x", "Via: 1.0 a", "via: 1.1 b (c)", f"traceparent: {trace}", "Connection: traceparent")
    assert backend.requests[0].value("Via") == "1.0 a, 1.1 b (c), 1.1 gateway"
    assert backend.requests[0].value("traceparent") == trace


async def test_hop_by_hop_fields_stay_here(serve, backend):
    gateway = await serve()
    answer = await gateway.get(
        "/open/x",
        "Connection: close, X-Mine, keep-alive",
        "X-Mine: 1",
        "x-mine: 2",
        "Keep-Alive: timeout=5",
        "Proxy-Authorization: Basic YTpi",
        "Proxy-Authenticate: Basic",
        "Proxy-Connection: keep-alive",
        "TE: trailers",
        "Trailer: X-T",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
        "X-Kept: yes",
    )
    assert answer.status == 200
    assert answer.value("Connection") == "close"
    assert backend.requests[0].names == [
        "host",
        "x-kept",
        "x-request-id",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "via",
    ]


async def test_framing_names_in_other_spellings_are_dropped(serve, backend):
    gateway = await serve()
    answer = await gateway.ask(
        request(
            "POST", "/open/x", "Content_Length: 99", "Transfer_Encoding: chunked", "transfer.encoding: x", body=b"ab"
        )
    )
    assert answer.status == 200
    assert backend.requests[0].body == b"ab"
    assert {"content_length", "transfer_encoding", "transfer.encoding"}.isdisjoint(backend.requests[0].names)


FORGED = [
    "X-User-Id",
    "x-user-id",
    "X_User_Id",
    "x.user-id",
    "X-USER_ID",
    "X-Roles",
    "x_roles",
    "X-Scopes",
    "X-Client-Id",
]


@pytest.mark.parametrize("path", ["/open/x", "/api/x"])
async def test_identity_can_not_be_forged_in_any_spelling(serve, backend, path):
    gateway = await serve()
    lines = [f"{name}: forged" for name in FORGED]
    answer = await gateway.get(path, *lines, "Connection: X-User-Id, X-Roles", token="good")
    assert answer.status == 200
    seen = backend.requests[0]
    assert b"forged" not in seen.head
    assert seen.value("X-User-Id") == ("alice" if path == "/api/x" else None)
    assert seen.value("X-Roles") == ("manager,clerk" if path == "/api/x" else None)


async def test_an_absent_claim_leaves_no_room_for_the_clients_own(serve, backend, provider):
    provider.answers["bare"] = {"active": True}
    gateway = await serve()
    assert (await gateway.get("/api/x", "X-User-Id: forged", token="bare")).status == 200
    assert backend.requests[0].value("X-User-Id") is None
    assert b"forged" not in backend.requests[0].head


async def test_identity_of_one_route_is_stripped_on_all(serve, backend):
    routes = [
        route(backend, "tenant", "/tenant", auth="required", identity={"headers": {"X-Tenant": "sub"}}),
        route(backend, "other", "/other"),
    ]
    gateway = await serve(routes)
    assert (await gateway.get("/other", "x_tenant: forged")).status == 200
    assert b"forged" not in backend.requests[0].head


async def test_identity_comes_last_whatever_the_route_sets(serve, backend):
    keys = {"request_headers": {"set": {"X-Env": "prod", "X-Lang": "en"}, "remove": ["Cookie", "via"]}}
    gateway = await serve(**keys)
    await gateway.get("/api/x", "Cookie: a=b", "cookie: c=d", "X-Env: dev", "x_env: dev", token="good")
    seen = backend.requests[0]
    assert seen.names[-7:] == ["x-env", "x-lang", "x-user-id", "x-user-name", "x-client-id", "x-scopes", "x-roles"]
    assert seen.value("X-Env") == "prod"
    assert {"cookie", "via", "x_env"}.isdisjoint(seen.names)


async def test_identity_values_go_out_as_utf_8(serve, backend, provider):
    provider.answers["utf8"] = {
        "active": True,
        "sub": "J\u00fcrgen \u9ed2\U0001f600",
        "realm_access": {"roles": ["a,b", "c%"]},
    }
    gateway = await serve()
    assert (await gateway.get("/api/x", token="utf8")).status == 200
    assert "X-User-Id: J\u00fcrgen \u9ed2\U0001f600\r\n".encode() in backend.requests[0].head
    assert backend.requests[0].value("X-Roles") == "a%2Cb,c%25"


@pytest.mark.parametrize("claim", ["\ud800", "a\udc80", "\udcff\udc0a", "a\nb", "a\x7f", "\x85"])
async def test_a_claim_that_is_no_text_for_a_header_refuses(serve, backend, provider, claim):
    provider.answers["odd"] = {"active": True, "sub": claim}
    gateway = await serve()
    assert (await gateway.get("/api/x", token="odd")).code == "unsafe_claim"
    assert backend.requests == []


async def test_bytes_of_header_values_pass_as_they_are(serve, backend):
    gateway = await serve()
    lines = b"X-Utf8: \xc3\xa9\r\nX-Latin: caf\xe9 \xff\x80!\r\nX-Tab: a\tb\r\nX-Empty:\r\n"
    await gateway.ask(b"GET /open/x HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
    head = backend.requests[0].head
    assert b"X-Utf8: \xc3\xa9\r\n" in head
    assert b"X-Latin: caf\xe9 \xff\x80!\r\n" in head
    assert b"X-Tab: a\tb\r\n" in head
    assert b"X-Empty: \r\n" in head


async def test_fields_that_come_twice_stay_twice_and_in_order(serve, backend):
    gateway = await serve()
    await gateway.get("/open/x", "Accept: a", "X-One: 1", "Accept: b", "X-One: 2", "accept: c")
    kept = [pair for pair in backend.requests[0].fields if pair[0].lower() in {"accept", "x-one"}]
    assert kept == [("Accept", "a"), ("X-One", "1"), ("Accept", "b"), ("X-One", "2"), ("accept", "c")]


async def test_nothing_is_added_that_the_client_did_not_send(serve, backend):
    gateway = await serve()
    await gateway.get("/open/x")
    assert {"accept", "accept-encoding", "user-agent", "connection", "content-type", "content-length"}.isdisjoint(
        backend.requests[0].names
    )


async def test_the_token_stays_here_unless_the_route_keeps_it(serve, backend):
    routes = [
        route(backend, "strip", "/strip", auth="required"),
        route(backend, "keep", "/keep", auth="required", authorization="keep"),
        route(backend, "open", "/open"),
        route(backend, "open-keep", "/open-keep", authorization="keep"),
    ]
    gateway = await serve(routes)
    for path in ("/strip", "/keep", "/open", "/open-keep"):
        assert (await gateway.get(path, "Connection: Authorization", token="good")).status == 200
    seen = [one.value("Authorization") for one in backend.requests]
    assert seen == [None, "Bearer good", None, "Bearer good"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "PUT", "PATCH", "POST", "PROPFIND", "REPORT"])
async def test_any_method_passes(serve, backend, method):
    gateway = await serve()
    assert (await gateway.ask(request(method, "/open/x"), method)).status == 200
    assert backend.requests[0].method == method


class TestForwarded:
    LINES = (
        "X-Forwarded-For: 203.0.113.7, 198.51.100.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: shop.example",
        "X-Forwarded-Port: 444",
        "X-Request-Id: from-the-client",
        "Forwarded: for=203.0.113.7;proto=https",
        "X-Real-IP: 203.0.113.7",
        "X_Forwarded_For: 203.0.113.9",
        "X-Original-URL: /admin",
        "X-Rewrite-URL: /admin",
    )

    async def test_an_untrusted_peer_steers_nothing(self, serve, backend):
        gateway = await serve()
        answer = await gateway.get("/open/x", *self.LINES)
        seen = backend.requests[0]
        assert seen.names == ["host", "x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "via"]
        assert seen.value("X-Forwarded-For") == "127.0.0.1"
        assert seen.value("X-Forwarded-Proto") == "http"
        assert seen.value("X-Forwarded-Host") == "gw.example"
        assert ID.fullmatch(answer.value("X-Request-Id"))
        assert (await gateway.log_line())["client"] == "127.0.0.1"

    async def test_a_trusted_proxy_is_believed(self, serve, backend):
        gateway = await serve(server={"trusted_proxies": ["127.0.0.0/8", "198.51.100.0/24"]})
        answer = await gateway.get("/open/x", *self.LINES)
        seen = backend.requests[0]
        assert answer.value("X-Request-Id") == "from-the-client"
        assert seen.value("X-Request-Id") == "from-the-client"
        assert seen.value("X-Forwarded-For") == "203.0.113.7, 198.51.100.1, 127.0.0.1"
        assert seen.value("X-Forwarded-Proto") == "https"
        assert seen.value("X-Forwarded-Host") == "shop.example"
        assert seen.value("X-Forwarded-Port") == "444"
        assert not {"x_forwarded_for", "forwarded", "x-real-ip", "x-original-url", "x-rewrite-url"} & set(seen.names)
        line = await gateway.log_line()
        assert (line["client"], line["request_id"]) == ("203.0.113.7", "from-the-client")

    async def test_what_is_listed_passes_from_a_trusted_proxy(self, serve, backend):
        listed = {"trusted_proxies": ["127.0.0.0/8"], "trusted_headers": ["X-Real-IP", "X-Tenant"]}
        gateway = await serve(server=listed)
        await gateway.get("/open/x", *self.LINES, "X-Tenant: acme", "X_Tenant: evil", "X_Real_IP: 6.6.6.6")
        seen = backend.requests[0]
        assert (seen.value("X-Real-IP"), seen.value("X-Tenant")) == ("203.0.113.7", "acme")
        assert not {"x_tenant", "x_real_ip", "x-original-url"} & set(seen.names)

    async def test_what_is_listed_does_not_pass_from_others(self, serve, backend):
        gateway = await serve(server={"trusted_headers": ["X-Real-IP", "X-Tenant"]})
        await gateway.get("/open/x", *self.LINES, "X-Tenant: acme")
        assert not {"x-real-ip", "x-tenant"} & set(backend.requests[0].names)

    async def test_forwarded_is_read_where_it_came_alone_and_sent_on_as_x_forwarded(self, serve, backend):
        gateway = await serve(server={"trusted_proxies": ["127.0.0.1/32"]})
        await gateway.get("/open/x", 'Forwarded: for="[2001:db8::7]:4711";proto=https;host=shop.example')
        seen = backend.requests[0]
        assert seen.value("X-Forwarded-For") == "2001:db8::7, 127.0.0.1"
        assert (seen.value("X-Forwarded-Proto"), seen.value("X-Forwarded-Host")) == ("https", "shop.example")
        assert "forwarded" not in seen.names
        assert (await gateway.log_line())["client"] == "2001:db8::7"

    @pytest.mark.parametrize("value", ["a b", "x" * 129, "a\u00e9", ""])
    async def test_a_trusted_proxys_odd_request_id_is_not_taken(self, serve, backend, value):
        gateway = await serve(server={"trusted_proxies": ["127.0.0.1/32"]})
        answer = await gateway.get("/open/x", f"X-Request-Id: {value}")
        assert ID.fullmatch(answer.value("X-Request-Id"))
        assert backend.requests[0].value("X-Request-Id") == answer.value("X-Request-Id")

    async def test_routes_are_found_by_host_and_not_by_what_a_proxy_forwards(self, serve, backend):
        routes = [route(backend)]
        routes[0]["match"]["host"] = "shop.example"
        gateway = await serve(routes, server={"trusted_proxies": ["127.0.0.1/32"]})
        assert (await gateway.get("/x", "X-Forwarded-Host: shop.example")).code == "no_route"
