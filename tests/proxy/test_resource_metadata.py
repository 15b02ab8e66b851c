"""A client that knows nothing but the resource finds its authorization server (RFC 9728)."""

import json

import pytest
from support.wire import request

URL = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
PATH = "/.well-known/oauth-protected-resource/mcp"
RESOURCE = {"identifier": "https://mcp.example.com/mcp", "scopes": ["mcp:tools"], "name": "Tools"}


@pytest.fixture
async def gateway(serve, backend, provider):
    routes = [
        {"name": "tools", "match": {"path": "/mcp"}, "backend": backend.url, "resource": RESOURCE,
         "auth": {"scopes": ["mcp:tools"]}},
        {"name": "more", "match": {"path": "/mcp/**"}, "backend": backend.url,
         "resource": {"identifier": RESOURCE["identifier"], "scopes": ["mcp:more", "mcp:tools"]}},
        {"name": "all", "match": {"path": "/**"}, "backend": backend.url, "auth": "none"},
    ]  # fmt: skip
    return await serve(routes, provider_keys={"issuer": "https://sso.example.com"})


async def test_the_metadata_is_read_by_anybody(gateway, backend) -> None:
    answer = await gateway.ask(request("GET", PATH, host="MCP.example.com:443"))
    assert (answer.status, answer.value("Content-Type")) == (200, "application/json")
    assert answer.value("Access-Control-Allow-Origin") == "*"
    assert json.loads(answer.body) == {
        "resource": "https://mcp.example.com/mcp",
        "authorization_servers": ["https://sso.example.com"],
        "scopes_supported": ["mcp:tools", "mcp:more"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Tools",
    }
    assert backend.requests == []


async def test_head_and_a_preflight_are_answered_too(gateway) -> None:
    head = await gateway.ask(request("HEAD", PATH, host="mcp.example.com"), "HEAD")
    assert (head.status, head.body, int(head.value("Content-Length")) > 100) == (200, b"", True)
    asked = ("Origin: https://x", "Access-Control-Request-Method: GET")
    preflight = await gateway.ask(request("OPTIONS", PATH, *asked, host="mcp.example.com"))
    assert (preflight.status, preflight.value("Access-Control-Allow-Headers")) == (204, "*")
    post = await gateway.ask(request("POST", PATH, host="mcp.example.com"))
    assert (post.status, post.value("Allow")) == (405, "GET, HEAD, OPTIONS")


async def test_on_another_host_and_below_it_is_an_ordinary_path(gateway, backend) -> None:
    assert (await gateway.ask(request("GET", PATH, host="api.example.com"))).status == 200
    assert (await gateway.ask(request("GET", PATH + "/x", host="mcp.example.com"))).status == 200
    assert [one.target for one in backend.requests] == [PATH, PATH + "/x"]


@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("junk", 401), ("good", 403)]  # good has no mcp:tools
)  # fmt: skip
async def test_each_challenge_names_the_metadata(gateway, token, status) -> None:
    answer = await gateway.ask(request("GET", "/mcp", host="mcp.example.com", token=token))
    assert answer.status == status
    assert answer.value("WWW-Authenticate").endswith(f', resource_metadata="{URL}"')
