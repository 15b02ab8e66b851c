"""Tokens that are bound to a key or a certificate (RFC 9449, RFC 8705), judged by what backend and provider saw."""

import asyncio
import base64
import time
from hashlib import sha256

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from support.dpop import Prover
from support.lanes import lane_keys
from support.redis_server import RedisServer
from support.redis_server import running as redis_running
from support.running_gateway import RunningGateway, configuration, gateways, provider_settings
from support.signing import key_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

OWN, THIEF = Prover(), Prover(key=key_for("ES256", 9))
THIEF.key = key_for("EdDSA", 3)
THIEF.algorithm = "EdDSA"
DER = base64.b64decode(b"".join(trustme.CA().issue_cert("c.example").cert_chain_pems[0].bytes().split(b"\n")[1:-2]))
X5T = base64.urlsafe_b64encode(sha256(DER).digest()).rstrip(b"=").decode()
CLIENT_CERT = f"Client-Cert: :{base64.b64encode(DER).decode()}:"
PATHS = ("/api/x", "/any/x", "/scoped/x", "/wanted/x")


@pytest.fixture(scope="module")
def routes(backend):
    more = {"backend": backend.url, "identity": {"headers": {"X-User-Id": "sub"}}}
    auths = {
        "api": {},
        "any": {"mode": "optional"},
        "scoped": {"scopes": ["write"]},
        "wanted": {"proof": "required"},
        "lax": {"proof": "ignore"},
        "cookie": {"token_from": ["authorization", {"cookie": "at"}]},
    }
    return [{"name": name, "match": {"path": f"/{name}/**"}, "auth": auth, **more} for name, auth in auths.items()] + [
        {"name": "kept", "match": {"path": "/kept/**"}, "authorization": "keep", **more}
    ]


@pytest.fixture(scope="module")
def server_keys():
    return {
        "header_timeout": "5s",
        "trusted_proxies": ["127.0.0.2/32"],
        "client_certificate_header": {"name": "Client-Cert", "form": "rfc9440"},
    }


@pytest.fixture
def bound(provider) -> str:
    """A token bound to `OWN`, new in each test so that no cache knows it."""
    token = f"bound-{time.monotonic_ns()}"
    provider.answers[token] = {
        "active": True, "sub": "alice", "scope": "write", "token_type": "DPoP", "cnf": {"jkt": OWN.jkt},
    }  # fmt: skip
    return token


async def send(gateway: RunningGateway, path: str, token: str, by: Prover = OWN, scheme: str = "DPoP", **more):
    """A request with a proof for it, as far as `more` does not say otherwise."""
    proof = by.proof(more.pop("htm", "GET"), more.pop("htu", f"http://gw.example{path}"), more.pop("of", token), **more)
    return await gateway.get(path, f"Authorization: {scheme} {token}", f"DPoP: {proof}")


def challenges(answer) -> dict[str, str]:
    return {value.partition(" ")[0]: value.partition(" ")[2] for value in answer.values("WWW-Authenticate")}


async def test_with_its_proof_a_bound_token_passes_and_the_backend_sees_none_of_it(gateway, backend, bound) -> None:
    for path in (*PATHS, "/lax/x", "/cookie/x", "/kept/x"):
        answer = await send(gateway, path, bound)
        assert answer.status == 200, answer
        seen = backend.requests[-1]
        assert seen.value("X-User-Id") == "alice"
        assert "dpop" not in seen.names
        assert ("authorization" in seen.names) == path.startswith("/kept")


@pytest.mark.parametrize("spelled", ["DPoP", "dpop", "D-PoP", "DPoP_", "D.P.O.P"])
async def test_no_spelling_of_a_proof_is_forwarded(gateway, backend, provider, spelled) -> None:
    provider.answers["plain"] = {"active": True, "sub": "bob", "token_type": "Bearer"}
    for path in ("/api/x", "/kept/x", "/lax/x"):
        assert (await gateway.get(path, "Authorization: Bearer plain", f"{spelled}: a.b.c")).status == 200
        assert [name for name in backend.requests[-1].names if "pop" in name.replace("-", "").replace(".", "")] == []


async def test_a_stolen_bound_token_is_refused_on_every_route_and_from_the_cache(gateway, backend, bound) -> None:
    for primed in (False, True):
        if primed:
            assert (await send(gateway, "/api/x", bound)).status == 200
        count = len(backend.requests)
        for path in (*PATHS, "/cookie/x", "/kept/x"):
            plain = await gateway.get(path, token=bound)
            assert (plain.status, plain.code) == (401, "invalid_token")
            assert 'error="invalid_token"' in challenges(plain)["Bearer"]
            assert 'algs="RS256 PS256 ES256 EdDSA"' in challenges(plain)["DPoP"]
            stolen = await send(gateway, path, bound, THIEF)
            assert (stolen.status, stolen.code) == (401, "invalid_dpop_proof")
            assert 'error="invalid_dpop_proof"' in challenges(stolen)["DPoP"]
            assert challenges(stolen)["Bearer"] == 'realm="gateway"'
            with_proof = await send(gateway, path, bound, scheme="Bearer")
            assert (with_proof.status, with_proof.code) == (401, "invalid_token")
        in_cookie = await gateway.get("/cookie/x", f"Cookie: at={bound}")
        assert (in_cookie.status, in_cookie.code) == (401, "invalid_token")
        assert len(backend.requests) == count


async def test_a_stolen_bound_token_is_refused_from_redis_by_a_gateway_that_never_asked(
    backend, provider, routes, server_keys, lane, bound
) -> None:
    """The proof is demanded of facts, wherever they come from: here another instance had asked."""
    with redis_running(server := RedisServer()):
        text = configuration(
            providers={"p": provider_settings(provider)},
            routes=routes,
            server={**server_keys, **lane_keys(lane)},
            cache={"redis": server.url, "secret": "a-secret-for-both-of-these"},
        )
        async with gateways() as start:
            asking, other = await start(text), await start(text)
            assert (await send(asking, "/api/x", bound)).status == 200
            asked, count = len(provider.introspections), len(backend.requests)
            for path in (*PATHS, "/cookie/x", "/kept/x"):
                assert (await other.get(path, token=bound)).code == "invalid_token"
                assert (await send(other, path, bound, THIEF)).code == "invalid_dpop_proof"
            assert len(backend.requests) == count
            assert (await send(other, "/api/x", bound)).status == 200
            assert len(provider.introspections) == asked, "its facts came from Redis"


BAD = [
    {"htm": "POST"},
    {"htu": "http://gw.example/api/other"},
    {"htu": "https://gw.example/api/x"},
    {"of": "another"},
    {"iat": 1},
    {"iat": 4_000_000_000},
    {"jti": None},
    {"by": key_for("ES256", 9)},
    {"header": {"typ": "JWT"}},
    {"header": {"jwk": {**OWN.jwk, "d": "AAAA"}}},
]


@pytest.mark.parametrize("wrong", BAD, ids=range(len(BAD)))
async def test_a_proof_that_does_not_fit_costs_no_call(gateway, backend, provider, bound, wrong) -> None:
    calls, requests = len(provider.introspections), len(backend.requests)
    wrong = dict(wrong)
    signer = {"by": None, **wrong}.pop("by")
    proof = OWN.proof(
        wrong.pop("htm", "GET"),
        wrong.pop("htu", "http://gw.example/api/x"),
        wrong.pop("of", bound),
        **{**wrong, "by": signer},
    )
    answer = await gateway.get("/api/x", f"Authorization: DPoP {bound}", f"DPoP: {proof}")
    assert (answer.status, answer.code) == (401, "invalid_dpop_proof")
    assert (len(provider.introspections), len(backend.requests)) == (calls, requests)


@pytest.mark.parametrize("count", [0, 2])
async def test_there_is_exactly_one_proof(gateway, provider, bound, count) -> None:
    calls = len(provider.introspections)
    proof = OWN.proof("GET", "http://gw.example/api/x", bound)
    answer = await gateway.get("/api/x", f"Authorization: DPoP {bound}", *[f"DPoP: {proof}"] * count)
    assert (answer.status, answer.code) == (401, "invalid_dpop_proof")
    assert len(provider.introspections) == calls


async def test_a_proof_is_good_once_whatever_came_of_it_in_between(gateway, backend, bound) -> None:
    proof = OWN.proof("GET", "http://gw.example/api/x", bound)
    lines = (f"Authorization: DPoP {bound}", f"DPoP: {proof}")
    assert (await gateway.get("/api/x", *lines)).status == 200
    count = len(backend.requests)
    for _ in range(2):
        answer = await gateway.get("/api/x", *lines)
        assert (answer.status, answer.code) == (401, "invalid_dpop_proof")
    assert len(backend.requests) == count
    assert gateway.lines.requests[-1]["reason"] == "the proof was used before"


async def test_of_many_equal_proofs_at_once_one_is_good(gateway, backend, bound) -> None:
    proof = OWN.proof("GET", "http://gw.example/api/x", bound)
    lines = (f"Authorization: DPoP {bound}", f"DPoP: {proof}")
    count = len(backend.requests)
    answers = await asyncio.gather(*(gateway.get("/api/x", *lines) for _ in range(10)))
    assert sorted(answer.status for answer in answers) == [200] + [401] * 9
    assert len(backend.requests) == count + 1


async def test_an_unbound_token_in_the_scheme_dpop_is_refused(gateway, provider) -> None:
    provider.answers["plain"] = {"active": True, "sub": "bob", "token_type": "Bearer"}
    answer = await send(gateway, "/api/x", "plain")
    assert (answer.status, answer.code) == (401, "invalid_token")
    assert "DPoP" in challenges(answer)
    answer = await gateway.get("/wanted/x", token="plain")
    assert (answer.status, answer.code) == (401, "invalid_token")
    assert "DPoP" in challenges(answer)
    answer = await gateway.get("/wanted/x")
    assert (answer.status, answer.code) == (401, "token_missing")
    assert challenges(answer)["DPoP"] == 'realm="gateway", algs="RS256 PS256 ES256 EdDSA"'
    answer = await gateway.get("/api/x")
    assert list(challenges(answer)) == ["Bearer"]


async def test_the_url_of_a_proof_is_the_one_that_a_trusted_proxy_was_asked_for(gateway, bound) -> None:
    async def asked(source: str, htu: str) -> int:
        proof = OWN.proof("GET", htu, bound)
        client = await gateway.client(source=source)
        more = ["X-Forwarded-Proto: https", "X-Forwarded-Host: api.example.com", "X-Forwarded-Prefix: /shop"]
        head = ["GET /api/x?a=1 HTTP/1.1", "Host: gw.example", f"Authorization: DPoP {bound}", f"DPoP: {proof}", *more]
        await client.send("\r\n".join([*head, "", ""]).encode())
        return (await client.answer()).status

    assert await asked("127.0.0.2", "https://api.example.com/shop/api/x") == 200
    assert await asked("127.0.0.2", "http://gw.example/api/x") == 401
    assert await asked("127.0.0.1", "https://api.example.com/shop/api/x") == 401
    assert await asked("127.0.0.1", "http://GW.example:80/api/x?other#f") == 200


async def test_only_a_trusted_proxy_is_believed_about_a_certificate(gateway, backend, provider) -> None:
    provider.answers["mtls"] = {"active": True, "sub": "carol", "token_type": "Bearer", "cnf": {"x5t#S256": X5T}}

    async def asked(source: str, *lines: str):
        client = await gateway.client(source=source)
        head = ["GET /api/x HTTP/1.1", "Host: gw.example", "Authorization: Bearer mtls", *lines]
        await client.send("\r\n".join([*head, "", ""]).encode())
        return await client.answer()

    assert (await asked("127.0.0.2", CLIENT_CERT)).status == 200
    assert backend.requests[-1].value("X-User-Id") == "carol"
    assert backend.requests[-1].value("Client-Cert") is not None
    for source, lines in (
        ("127.0.0.1", [CLIENT_CERT]),
        ("127.0.0.2", []),
        ("127.0.0.2", [CLIENT_CERT, CLIENT_CERT]),
        ("127.0.0.2", ["Client-Cert: :AAAA:"]),
        ("127.0.0.2", [CLIENT_CERT.replace("Client-Cert", "Client_Cert")]),
    ):
        answer = await asked(source, *lines)
        assert (answer.status, answer.code) == (401, "invalid_token")
    provider.answers["plain"] = {"active": True, "sub": "bob", "token_type": "Bearer"}
    assert (await gateway.get("/api/x", CLIENT_CERT, token="plain")).status == 200
    assert "client-cert" not in backend.requests[-1].names


async def test_many_requests_at_once_each_with_its_own_proof(gateway, bound) -> None:
    answers = await asyncio.gather(*(send(gateway, "/api/x", bound) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}


async def test_an_address_with_a_key_for_each_of_its_tokens_takes_no_proof_of_another(provider, backend, lane) -> None:
    """Whoever may have tokens may bind each to another key: here so many that they fill the memory of proofs."""
    route = {"name": "api", "backend": backend.url}
    server = {**lane_keys(lane), "trusted_proxies": ["127.0.0.0/8"]}
    async with gateways() as start:
        gateway = await start(
            configuration(providers={"p": provider_settings(provider)}, routes=[route], server=server)
        )
        seen, _ = gateway.service._serving._worker._proof_uses
        seen._most = 8

        async def statuses(address: str) -> list[int]:
            found = []
            for number in range(8):
                prover, token = (
                    Prover(key=ec.generate_private_key(ec.SECP256R1())),
                    f"{address}-{number}-{time.monotonic_ns()}",
                )
                provider.answers[token] = {"active": True, "token_type": "DPoP", "cnf": {"jkt": prover.jkt}}
                proof = prover.proof("GET", "http://gw.example/api/x", token)
                lines = (f"Authorization: DPoP {token}", f"DPoP: {proof}", f"X-Forwarded-For: {address}")
                found.append((await gateway.get("/api/x", *lines)).status)
            return found

        assert await statuses("203.0.113.1") == [200] * 4 + [429] * 4
        assert await statuses("198.51.100.7") == [200] * 2 + [429] * 6
        assert (await statuses("192.0.2.9"))[0] == 200
