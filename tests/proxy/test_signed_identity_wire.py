"""The signed identity and the whole answer, as a backend gets them; the keys, as it finds them. In both lanes."""

import asyncio
import base64
import json
import time

import jwt
import pytest
from support.wire import request

from gateway.config.identity_key import new_private_pem, read_identity_key

ISSUER = "https://gateway.example.com"
KEYS = "/.gateway/jwks.json"
TOKEN = {"header": "X-Identity-Token", "audience": "orders", "claims": {"sub": "sub", "roles": "realm_access.roles"}}


@pytest.fixture
def signing(tmp_path):
    for name, algorithm in (("first", "ES256"), ("second", "EdDSA")):
        (tmp_path / f"{name}.pem").write_text(new_private_pem(algorithm))
    return {"key_file": str(tmp_path / "first.pem"), "issuer": ISSUER}


@pytest.fixture
def routes(backend):
    identity = {"token": TOKEN, "answer": "X-Introspection"}
    return [
        {"name": "orders", "match": {"path": "/orders/**"}, "backend": backend.url, "identity": identity},
        {"name": "billing", "match": {"path": "/billing"}, "backend": backend.url,
         "identity": {"headers": {}, "token": {"header": "X-Billing", "audience": ["billing", "books"]}}},
        {"name": "all", "match": {"path": "/**"}, "backend": backend.url, "auth": "none"},
    ]  # fmt: skip


async def keys(gateway) -> dict[str, jwt.PyJWK]:
    answer = await gateway.get(KEYS)
    return {one["kid"]: jwt.PyJWK(one) for one in json.loads(answer.body)["keys"]}


async def verified(gateway, token: str, audience="orders") -> dict:
    """As a backend does it that knows the gateway's address and issuer."""
    header = jwt.get_unverified_header(token)
    key = (await keys(gateway))[header["kid"]]
    return jwt.decode(token, key.key, [header["alg"]], audience=audience, issuer=ISSUER)


async def test_a_backend_verifies_who_is_calling(serve, signing, routes, backend, provider) -> None:
    provider.answers["good"] |= {"realm_access": {"roles": ["a", "b"]}, "exp": int(time.time()) + 30}
    gateway = await serve(routes, top={"signing": signing})
    for _ in range(3):
        assert (await gateway.get("/orders/7", token="good")).status == 200
    (token,) = {value for one in backend.requests for value in one.values("X-Identity-Token")}
    claims = await verified(gateway, token)
    assert claims["sub"] == provider.answers["good"]["sub"]
    assert claims["roles"] == ["a", "b"]
    assert claims["exp"] == provider.answers["good"]["exp"]
    (answer,) = backend.requests[-1].values("X-Introspection")
    assert json.loads(base64.urlsafe_b64decode(answer + "==")) == provider.answers["good"]


async def test_each_route_has_its_own(serve, signing, routes, backend) -> None:
    gateway = await serve(routes, top={"signing": signing})
    for path in ("/orders/7", "/billing", "/orders/7", "/billing"):
        assert (await gateway.get(path, token="good")).status == 200
    orders, billing, again, once_more = (one.values("X-Identity-Token") + one.values("X-Billing")
                                         for one in backend.requests)  # fmt: skip
    assert (orders, billing) == (again, once_more)
    assert (await verified(gateway, billing[0], "books"))["aud"] == ["billing", "books"]


@pytest.mark.parametrize("path", ["/orders/7", "/billing", "/public"])
@pytest.mark.parametrize(
    "name",
    ["X-Identity-Token", "x_identity.token", "XIdentityToken", "X!Billing", "x-introspection", "X_Introspection"],
)
async def test_no_client_sends_one(serve, signing, routes, backend, path, name) -> None:
    gateway = await serve(routes, top={"signing": signing})
    sent = request("GET", path, f"{name}: forged", "Connection: X-Identity-Token", token="good")
    assert (await gateway.ask(sent)).status == 200
    (got,) = backend.requests
    assert b"forged" not in got.head
    assert bool(got.values("X-Identity-Token")) == (path == "/orders/7")


async def test_the_keys_are_for_everybody_before_the_routes(serve, signing, routes, backend) -> None:
    gateway = await serve(routes, top={"signing": signing})
    answer = await gateway.ask(request("GET", KEYS, host="any.example.com"))
    assert (answer.status, answer.value("Content-Type")) == (200, "application/json")
    assert "max-age=" in answer.value("Cache-Control")
    head = await gateway.ask(request("HEAD", KEYS), "HEAD")
    assert (head.status, head.body) == (200, b"")
    post = await gateway.ask(request("POST", KEYS))
    assert (post.status, post.value("Allow")) == (405, "GET, HEAD")
    assert backend.requests == []
    below = await gateway.get(KEYS + "/x")
    assert (below.status, [one.target for one in backend.requests]) == (200, [KEYS + "/x"])


async def test_an_answer_that_is_too_large_is_left_out_and_told_once(serve, signing, routes, backend, provider) -> None:
    provider.answers["good"]["much"] = "a" * 9000
    gateway = await serve(routes, top={"signing": signing})
    for _ in range(3):
        assert (await gateway.get("/orders/7", token="good")).status == 200
    assert [one.values("X-Introspection") for one in backend.requests] == [[], [], []]
    told = [line for line in gateway.lines.all if line["event"] == "identity_answer_left_out"]
    assert [line["route"] for line in told] == ["orders"]


async def test_a_new_key_comes_without_a_moment_of_refusal(serve, signing, routes, backend, tmp_path) -> None:
    """A backend that keeps the keys as `jose` and PyJWT do, and asks again where it meets an unknown `kid`."""
    gateway = await serve(routes, top={"signing": signing})
    known = await keys(gateway)
    refused: list[str] = []

    async def verify(token: str) -> None:
        header = jwt.get_unverified_header(token)
        if header["kid"] not in known:
            known.update(await keys(gateway))
        try:
            jwt.decode(token, known[header["kid"]].key, [header["alg"]], audience="orders", issuer=ISSUER)
        except (KeyError, jwt.PyJWTError) as error:
            refused.append(str(error))

    async def call_for(seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            assert (await gateway.get("/orders/7", token="good")).status == 200
            await verify(backend.requests[-1].values("X-Identity-Token")[0])

    first = read_identity_key((tmp_path / "first.pem").read_text(), needs_private=True).kid
    calling = asyncio.create_task(call_for(1.0))
    await asyncio.sleep(0.3)
    rotated = signing | {"key_file": str(tmp_path / "second.pem"), "previous_key_files": [signing["key_file"]]}
    document = json.loads(gateway.text) | {"signing": rotated}
    assert await gateway.reload(json.dumps(document))
    await calling
    assert refused == []
    kids = [jwt.get_unverified_header(one.values("X-Identity-Token")[0])["kid"] for one in backend.requests]
    assert len(set(kids)) == 2
    assert kids[0] == first
    assert first in await keys(gateway)
