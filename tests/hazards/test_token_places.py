"""`auth.token_from`: judged by what the backend and the provider saw, in both lanes."""

import json

import aiohttp
import pytest
from support.backend import ok, script
from support.running_gateway import ADMIN_TOKEN, RunningGateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLACES = ["authorization", {"header": "X-Access-Token"}, {"cookie": "at"}, {"query": "access_token"}]


@pytest.fixture(scope="module")
def routes(backend):
    more = {"backend": backend.url, "identity": {"headers": {"X-User-Id": "sub"}}}
    return [
        {"name": "api", "match": {"path": "/api/**"}, "auth": {"token_from": PLACES}, **more},
        {"name": "cookie", "match": {"path": "/cookie/**"}, "auth": {"token_from": [{"cookie": "at"}]}, **more},
        {"name": "kept", "match": {"path": "/kept/**"}, "auth": {"token_from": [{"cookie": "at"}]},
         "authorization": "keep", **more},
        {"name": "plain", "match": {"path": "/plain/**"}, **more},
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def facts(provider):
    provider.answers["t/1="] = {"active": True, "sub": "alice", "token_type": "Bearer"}


async def get(gateway: RunningGateway, target: str, *headers: tuple[str, str]):
    return await gateway.get(target, *(f"{name}: {value}" for name, value in headers))


CARRIED = [
    ("/api/a?x=1", [("X-Access-Token", "t/1=")]),
    ("/api/a?x=1", [("x-access-token", "t/1="), ("X_Access_Token", "forged")]),
    ("/api/a?x=1", [("Cookie", "y=2; at=t/1=; z=3")]),
    ("/api/a?x=1", [("Cookie", 'y=2; at="t/1="'), ("Cookie", "at=t/1=; z=3")]),
    ("/api/a?access_token=t%2F1%3D&x=1", []),
    ("/api/a?acces%73%5Ftoken=t/1=&x=1&access_token=t/1=", []),
    ("/api/a?x=1", [("Authorization", "Bearer t/1="), ("Cookie", "at=t/1=")]),
    ("/cookie/a?x=1", [("Cookie", "at=t/1="), ("Authorization", "Bearer another"), ("X-Access-Token", "t/1=")]),
    ("/kept/a?x=1", [("Cookie", "at=t/1="), ("Authorization", "Bearer another")]),
]


@pytest.mark.parametrize(("target", "headers"), CARRIED)
async def test_the_backend_gets_none_of_the_carriers(gateway, backend, target, headers) -> None:
    answer = await get(gateway, target, *headers)
    assert answer.status == 200
    seen = backend.requests[-1]
    assert seen.target.endswith("/a?x=1")
    assert seen.value("X-User-Id") == "alice"
    assert "authorization" not in seen.names
    cookies = "; ".join(seen.values("Cookie"))
    assert "t/1" not in cookies
    assert [pair for pair in cookies.split("; ") if pair] == [
        pair for name, value in headers if name == "Cookie" for pair in value.split("; ") if pair[:2] in ("y=", "z=")
    ]
    if not target.startswith(("/cookie", "/kept")):
        assert [name for name in seen.names if "access" in name] == []


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/api/a?access_token=a&access_token=b", []),
        ("/api/a?access_token=a&access%5Ftoken=b", []),
        ("/api/a?access_token=a", [("Cookie", "at=b")]),
        ("/api/a", [("Authorization", "Bearer a"), ("X-Access-Token", "b")]),
        ("/api/a", [("Cookie", "at=a; at=b")]),
        ("/api/a", [("X-Access-Token", "Bearer a")]),
        ("/api/a?access_token=a%20b", []),
        ("/cookie/a", [("Cookie", "at=a"), ("Cookie", "at=b")]),
    ],
)
async def test_two_tokens_that_differ_are_refused_without_a_call(gateway, backend, provider, target, headers) -> None:
    calls, requests = len(provider.introspections), len(backend.requests)
    answer = await get(gateway, target, *headers)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert (len(provider.introspections), len(backend.requests)) == (calls, requests)


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/plain/a?access_token=t/1=", [("X-Access-Token", "t/1="), ("Cookie", "at=t/1=")]),
        ("/cookie/a?access_token=t/1=", [("X-Access-Token", "t/1="), ("Authorization", "Bearer t/1=")]),
        ("/cookie/a", [("Authorization", "Bearer a, b"), ("Cookie", "at=")]),
    ],
)
async def test_a_place_that_is_not_named_is_not_looked_at(gateway, provider, target, headers) -> None:
    calls = len(provider.introspections)
    answer = await get(gateway, target, *headers)
    assert (answer.status, answer.code) == (401, "token_missing")
    assert len(provider.introspections) == calls


SHARED = ("Cache-Control: public, s-maxage=60, max-age=9", "CDN-Cache-Control: public")


async def test_a_token_in_a_query_is_in_no_log_and_no_shared_cache(gateway, backend, provider) -> None:
    provider.answers["s3cr3t-token"] = {"active": True, "sub": "bob", "token_type": "Bearer"}
    for target, headers in (
        ("/api/a?access_token=s3cr3t-token&x=1", []),
        ("/api/a?access_token=s3cr3t-token&access_token=other", []),
        ("/api/a?access_token=s3cr3t-tokem", []),
    ):
        backend.answers.append(script(ok(b"", *SHARED)))
        answer = await get(gateway, target, *headers)
        if answer.status == 200:
            assert answer.values("Cache-Control") == ["max-age=9, private"]
            assert answer.values("CDN-Cache-Control") == []
        else:
            backend.answers.clear()
            assert answer.value("Cache-Control") == "no-store"
            assert b"s3cr3t" not in answer.head + answer.body
    assert b"s3cr3t" not in b"".join(gateway.lines.raw)
    question = {"method": "GET", "url": f"{gateway.url}/api/a?access_token=s3cr3t-token"}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as session,
        session.post(f"{gateway.admin_url}/explain", json=question) as explained,
        session.get(f"{gateway.admin_url}/metrics") as metrics,
    ):
        told = await explained.json()
        assert told["decision"] == "allow"
        assert "s3cr3t" not in json.dumps(told) + await metrics.text()


@pytest.mark.parametrize("headers", [[("Authorization", "Bearer t/1=")], [("Cookie", "at=t/1=")]])
async def test_a_response_to_a_token_elsewhere_may_be_cached(gateway, backend, headers) -> None:
    backend.answers.append(script(ok(b"", "Cache-Control: public")))
    answer = await get(gateway, "/api/a?x=1", *headers)
    assert answer.values("Cache-Control") == ["public"]
