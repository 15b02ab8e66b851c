"""Where the answers of a backend lead, and what it is told of its place: judged by the bytes at both ends."""

import pytest
from support.backend import Backend, Script, SeenRequest, ok, script
from support.wire import request

HOST = "gw.example"


def leads_to(*fields: str, status: str = "302 Found") -> Script:
    return script(ok(b"", *fields, status=status))


def stripping(backend: Backend, **more: object) -> list[dict[str, object]]:
    route = {"name": "open", "match": {"path": "/open/**"}, "backend": backend.url, "auth": "none"}
    return [{**route, "strip_prefix": "/open", **more}]


@pytest.mark.parametrize("name", ["Location", "Content-Location"])
async def test_a_redirect_to_the_backend_itself_leads_through_the_gateway(serve, backend, name):
    gateway = await serve()
    for number in range(4):  # the later ones are like ones before them
        backend.answers.append(leads_to(f"{name}: {backend.url}/open/{number}?a=1"))
        answer = await gateway.get("/open/x")
        assert (answer.status, answer.values(name)) == (302, [f"http://{HOST}/open/{number}?a=1"])


@pytest.mark.parametrize(
    "url", ["https://elsewhere.example/x", "/open/y", "y", "//elsewhere.example/x", "http://127.0.0.1/"]
)
async def test_any_other_stays_as_it_is(serve, backend, url):
    gateway = await serve(stripping(backend))
    for _ in range(3):
        backend.answers.append(leads_to(f"Location: {url}"))
        assert (await gateway.get("/open/x")).values("Location") == [url]


async def test_each_client_is_led_by_the_host_it_asked(serve, backend):
    backend.default = leads_to(f"Location: {backend.url}/y", "Refresh: 1; url=" + backend.url + "/z", status="200 OK")
    gateway = await serve()
    for host in ("a.example", "b.example:8443", "[::1]:8080", "a.example"):
        answer = await gateway.ask(request("GET", "/open/x", host=host))
        assert answer.values("Location") == [f"http://{host}/y"]
        assert answer.values("Refresh") == [f"1; url=http://{host}/z"]


async def test_what_is_stripped_is_told_and_put_back(serve, backend):
    routes = [
        {
            "name": "shop",
            "match": {"path": "/shops/{shop}/**"},
            "backend": f"{backend.url}/base",
            "strip_prefix": "/shops/{shop}",
            "auth": "none",
        }
    ]
    gateway = await serve(routes)
    for shop in ("a", "b", "a", "%C3%A9", "a"):
        backend.answers.append(leads_to(f"Location: {backend.url}/base/orders/"))
        answer = await gateway.get(f"/shops/{shop}/orders")
        assert answer.values("Location") == [f"http://{HOST}/shops/{shop}/orders/"]
        assert backend.requests[-1].target == "/base/orders"
        assert backend.requests[-1].values("X-Forwarded-Prefix") == [f"/shops/{shop}"]


async def test_nothing_is_told_where_nothing_is_stripped_nor_by_the_client(serve, backend):
    gateway = await serve()
    for _ in range(3):
        await gateway.get("/open/x", "X-Forwarded-Prefix: /evil", "X_Forwarded_Prefix: /evil")
        assert b"evil" not in backend.requests[-1].head


async def test_a_client_does_not_lead_itself_astray(serve, backend):
    gateway = await serve(stripping(backend))
    backend.default = leads_to(f"Location: {backend.url}/y")
    for _ in range(3):
        lines = ("X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /evil")
        answer = await gateway.get("/open/x", *lines)
        assert answer.values("Location") == [f"http://{HOST}/open/y"]
        assert backend.requests[-1].values("X-Forwarded-Prefix") == ["/open"]


async def test_what_a_trusted_proxy_says_of_the_clients_place_counts(serve, backend):
    gateway = await serve(stripping(backend), server={"trusted_proxies": ["127.0.0.0/8"]})
    backend.default = leads_to(f"Location: {backend.url}/y")
    lines = ("X-Forwarded-Host: shop.example", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /outer")
    answer = await gateway.get("/open/x", *lines)
    assert answer.values("Location") == ["https://shop.example/outer/open/y"]
    assert backend.requests[-1].values("X-Forwarded-Prefix") == ["/outer/open"]
    answer = await gateway.get("/open/x", *lines, "X-Forwarded-Port: 8443")
    assert answer.values("Location") == ["https://shop.example:8443/outer/open/y"]
    answer = await gateway.get("/open/x", "X-Forwarded-Prefix: //evil.example")
    assert answer.values("Location") == [f"http://{HOST}/open/y"]


async def test_other_backends_of_the_list_are_own(serve, backend):
    other = Backend()
    await other.start()
    gateway = await serve(backend=[backend.url, other.url])
    for one in (backend, other):
        one.default = leads_to(f"Location: {backend.url}/open/y", f"Content-Location: {other.url}/open/z")
    for _ in range(6):
        answer = await gateway.get("/open/x")
        assert answer.values("Location") == [f"http://{HOST}/open/y"]
        assert answer.values("Content-Location") == [f"http://{HOST}/open/z"]
    await other.stop()


async def test_with_the_clients_host_kept_a_backend_that_goes_by_it_is_led_alike(serve, backend):
    def by_host(seen: SeenRequest) -> Script:
        return leads_to(f"Location: http://{seen.value('Host')}/y")

    backend.default = by_host
    gateway = await serve(stripping(backend, preserve_host=True))
    for _ in range(3):
        assert (await gateway.get("/open/x")).values("Location") == [f"http://{HOST}/open/y"]


async def test_the_routes_own_rules_come_after_it(serve, backend):
    backend.default = leads_to(f"Location: {backend.url}/y", f"Content-Location: {backend.url}/y")
    rules = {"set": {"Location": backend.url}, "remove": ["Content-Location"]}
    gateway = await serve(response_headers=rules)
    answer = await gateway.get("/open/x")
    assert answer.values("Location") == [backend.url]
    assert answer.values("Content-Location") == []


async def test_a_request_without_a_host_is_led_by_a_path(serve, backend):
    backend.default = leads_to(f"Location: {backend.url}/y")
    gateway = await serve()
    wire = b"GET /open/x HTTP/1.0\r\n\r\n"
    answer = await gateway.ask(wire)
    assert answer.values("Location") == ["/y"]
