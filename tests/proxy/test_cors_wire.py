"""CORS, which the gateway answers for on routes that ask for it (Fetch standard §3.2)."""

import pytest
from support.backend import ok, script
from support.wire import request

APP = "https://app.example.com"
LOOK_ALIKES = [
    "null",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://app.example.com/",
    "https://APP.example.com",
    "https://app_example.com",
    "https://app.example.com, https://evil.example",
    "*",
    "",
]
PLAIN = {
    "allow_origins": [APP],
    "allow_methods": ["GET", "PUT"],
    "allow_headers": ["Authorization", "X-A"],
    "max_age": "10m",
}


@pytest.fixture
async def gateway(serve, backend):
    backend.default = lambda seen: script(
        ok(
            b"" if seen.method == "HEAD" else b"x",
            "Access-Control-Allow-Origin: *",
            "Access-Control-Allow-Credentials: true",
            "Access-Control-Expose-Headers: X-Secret",
            "access-control-max-age: 1",
            "Vary: Accept",
        )
    )
    routes = [
        {"name": "cors", "match": {"path": "/cors"}, "backend": backend.url, "cors": PLAIN},
        {
            "name": "public",
            "match": {"path": "/public"},
            "backend": backend.url,
            "auth": "none",
            "cors": {"allow_origins": ["*"], "expose_headers": ["X-B", "X-C"], "allow_headers": ["*"]},
        },
        {
            "name": "session",
            "match": {"path": "/session"},
            "backend": backend.url,
            "auth": "none",
            "cors": {"allow_origins": [APP, "https://two.example.com"], "allow_credentials": True},
        },
        {"name": "without", "match": {"path": "/without"}, "backend": backend.url, "auth": "none"},
        {"name": "guarded", "match": {"path": "/guarded"}, "backend": backend.url},
    ]
    return await serve(routes)


def preflight(path, origin=APP, method="GET", headers=None):
    lines = [f"Origin: {origin}", f"Access-Control-Request-Method: {method}"]
    if headers is not None:
        lines.append(f"Access-Control-Request-Headers: {headers}")
    return request("OPTIONS", path, *lines)


def cors_of(answer):
    return {name.lower(): value for name, value in answer.fields if name.lower().startswith("access-control-")}


class TestPreflight:
    async def test_it_needs_no_token_and_asks_nobody(self, gateway, backend, provider):
        answer = await gateway.ask(preflight("/cors", method="PUT", headers="authorization, x-a"))
        assert (answer.status, answer.body) == (204, b"")
        got = cors_of(answer)
        assert got["access-control-allow-origin"] == APP
        assert got["access-control-allow-methods"] in {"PUT", "GET, PUT", "GET,PUT"}
        assert {one.strip().lower() for one in got["access-control-allow-headers"].split(",")} == {
            "authorization",
            "x-a",
        }
        assert got["access-control-max-age"] == "600"
        assert "access-control-allow-credentials" not in got
        assert answer.value("Vary") == "Origin"
        assert answer.value("X-Request-Id")
        assert answer.value("Server") is None
        assert answer.names.count("content-length") == 0
        assert (backend.requests, provider.calls) == ([], [])
        line = await gateway.log_line()
        assert (line["route"], line["status"]) == ("cors", 204)

    @pytest.mark.parametrize("origin", [*LOOK_ALIKES, "https://evil.example"])
    async def test_another_origin_gets_nothing(self, gateway, backend, origin):
        answer = await gateway.ask(preflight("/cors", origin))
        assert (answer.status, answer.code) == (403, "forbidden")
        assert cors_of(answer) == {}
        assert answer.value("Vary") == "Origin"
        assert backend.requests == []

    @pytest.mark.parametrize(("method", "headers"), [("DELETE", None), ("GET", "x-other"), ("GET", "x-a, x-other")])
    async def test_another_method_or_header_is_refused(self, gateway, backend, method, headers):
        answer = await gateway.ask(preflight("/cors", method=method, headers=headers))
        assert answer.status in {403, 405}
        assert answer.problem["code"] in {"forbidden", "method_not_allowed"}
        assert "access-control-allow-methods" not in cors_of(answer)
        assert backend.requests == []

    async def test_two_origins_are_no_preflight(self, gateway, backend):
        answer = await gateway.ask(preflight("/cors").replace(b"Origin: ", b"Origin: https://evil.example\r\nOrigin: "))
        assert answer.status == 401
        assert cors_of(answer) == {}

    async def test_credentials_where_the_route_allows_them(self, gateway):
        answer = await gateway.ask(preflight("/session"))
        assert cors_of(answer)["access-control-allow-credentials"] == "true"
        assert cors_of(answer)["access-control-allow-origin"] == APP

    async def test_a_resource_for_everybody_says_so(self, gateway):
        for origin in ("https://any.example", "null"):
            got = cors_of(await gateway.ask(preflight("/public", origin, headers="x-anything")))
            assert got["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in got

    async def test_without_cors_a_preflight_is_an_ordinary_request(self, gateway, backend):
        answer = await gateway.ask(preflight("/without"))
        assert answer.status == 200
        assert backend.requests[0].method == "OPTIONS"
        assert (await gateway.ask(preflight("/guarded"))).code == "token_missing"
        assert len(backend.requests) == 1


class TestAnswers:
    async def test_the_backends_own_cors_headers_are_replaced(self, gateway):
        answer = await gateway.ask(request("GET", "/cors", f"Origin: {APP}", token="good"))
        assert answer.status == 200
        assert cors_of(answer) == {"access-control-allow-origin": APP}
        assert set(", ".join(answer.values("Vary")).split(", ")) == {"Accept", "Origin"}

    async def test_without_an_origin_there_are_none(self, gateway):
        answer = await gateway.get("/cors", token="good")
        assert (answer.status, cors_of(answer)) == (200, {})
        assert "Origin" in ", ".join(answer.values("Vary"))

    @pytest.mark.parametrize("origin", LOOK_ALIKES)
    async def test_look_alikes_get_nothing(self, gateway, origin):
        answer = await gateway.ask(request("GET", "/cors", f"Origin: {origin}", token="good"))
        assert (answer.status, cors_of(answer)) == (200, {})

    async def test_exposed_headers_are_named(self, gateway):
        got = cors_of(await gateway.ask(request("GET", "/public", "Origin: https://any.example")))
        assert got["access-control-allow-origin"] == "*"
        assert set(got["access-control-expose-headers"].split(",")) == {"X-B", "X-C"}

    async def test_refusals_carry_them_too(self, gateway):
        answer = await gateway.ask(request("GET", "/cors", f"Origin: {APP}"))
        told = {"access-control-allow-origin": APP, "access-control-expose-headers": "DPoP-Nonce,WWW-Authenticate"}
        assert (answer.code, cors_of(answer)) == ("token_missing", told)
        assert answer.value("Vary") == "Origin"

    async def test_also_when_the_backend_is_away(self, gateway, backend):
        await backend.stop()
        answer = await gateway.ask(request("GET", "/session", f"Origin: {APP}"))
        assert answer.code == "bad_gateway"
        assert cors_of(answer) == {"access-control-allow-origin": APP, "access-control-allow-credentials": "true"}

    async def test_without_cors_the_backends_own_pass(self, gateway):
        answer = await gateway.ask(request("GET", "/without", "Origin: https://any.example"))
        assert cors_of(answer)["access-control-expose-headers"] == "X-Secret"
        assert answer.values("Vary") == ["Accept"]

    async def test_a_plain_options_needs_a_token(self, gateway, backend):
        assert (await gateway.ask(request("OPTIONS", "/cors", f"Origin: {APP}"))).code == "token_missing"
        assert (
            await gateway.ask(request("OPTIONS", "/cors", "Access-Control-Request-Method: GET"))
        ).code == "token_missing"
        assert backend.requests == []
        assert (await gateway.ask(request("OPTIONS", "/cors", token="good"))).status == 200
