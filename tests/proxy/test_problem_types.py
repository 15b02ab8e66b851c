"""`server.problem_types`: each problem document leads to the page about its code. Run over both lanes."""

import pytest
from support.wire import Client, request

PAGE = "https://docs.example.com/troubleshooting.html"
ROUTES = [
    {"name": "api", "match": {"path": "/api/**", "methods": ["GET"]}, "backend": "http://127.0.0.1:1"},
    {"name": "open", "match": {"path": "/open/**"}, "backend": "http://127.0.0.1:1", "auth": "none"},
]


@pytest.fixture
async def gateway(serve):
    decisions = {"decisions": {"listen": "127.0.0.1:0"}}
    return await serve(ROUTES, server={"problem_types": PAGE, "max_headers": 10}, top=decisions)


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (request("GET", "/api/x"), "token_missing"),
        (request("POST", "/api/x"), "method_not_allowed"),
        (request("GET", "/none"), "no_route"),
        (request("GET", "/open//x"), "invalid_target"),
        (request("GET", "/open/x"), "bad_gateway"),
        (request("GET", "/open/x", *[f"X-{n}: 1" for n in range(20)]), "headers_too_large"),
        (b"GET /open/x HTTP/3.0\r\nHost: a\r\n\r\n", "http_version_not_supported"),
        (b"GET /open/x HTTP/1.1\r\nHost: a\r\nbroken\r\n\r\n", "invalid_request"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_type_is_the_pages_address_with_the_code_behind(gateway, wire, code):
    answer = await gateway.ask(wire)
    assert (answer.code, answer.problem["type"]) == (code, f"{PAGE}#{code}")


async def test_a_decision_says_so_too(gateway):
    told = ("X-Forwarded-Method: GET", "X-Forwarded-Uri: /api/x", "X-Forwarded-Host: a")
    async with await Client.of(gateway.decisions_address) as proxy:
        await proxy.send(request("GET", "/", *told))
        answer = await proxy.answer()
    assert answer.problem["type"] == f"{PAGE}#token_missing"


async def test_a_reload_changes_it_for_connections_that_stand(gateway):
    client = await gateway.client()
    for page in (PAGE, "https://other.example.com/codes"):
        assert await gateway.reload(gateway.text.replace(PAGE, page))
        await client.send(request("GET", "/api/x"))
        assert (await client.answer()).problem["type"] == f"{page}#token_missing"
