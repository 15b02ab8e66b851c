"""Bound tokens of a real Keycloak at a whole gateway: DPoP with real proofs, and client certificates (RFC 8705)."""

import base64
import time

import pytest
import trustme
from support.backend import Backend, ok, script
from support.dpop import Prover
from support.running_gateway import RunningGateway, configuration, gateways
from support.signing import key_for

OWN, THIEF = Prover(), Prover("ES256", key_for("ES256", 9))
PASSWORD = {"grant_type": "password", "username": "alice", "password": "alice"}
APP = {"client_id": "demo-app", "client_secret": "demo-app-secret"}


@pytest.fixture
async def running(keycloak):
    """A gateway that introspects at Keycloak, one that validates its JWTs itself, and believes this machine."""
    backend = Backend()
    backend.default = script(ok())
    await backend.start()
    settings = {
        "issuer": keycloak.issuer,
        "client_id": "gateway",
        "client_secret": "demo-gateway-secret",
        "timeout": "60s",
    }
    more = {"backend": backend.url, "identity": {"headers": {"X-User-Name": "preferred_username"}}}
    routes = [
        {"name": "api", "match": {"path": "/api/**"}, **more},
        {"name": "wanted", "match": {"path": "/wanted/**"}, "auth": {"proof": "required"}, **more},
    ]
    server = {
        "trusted_proxies": ["127.0.0.1/32"],
        "client_certificate_header": {"name": "Client-Cert", "form": "rfc9440"},
    }
    text = configuration(providers={"keycloak": settings}, routes=routes, server=server)
    async with gateways() as start:
        yield await start(text), backend
    await backend.stop()


async def tokens(http, keycloak, prover: Prover | None = None, headers=None, **form: str) -> dict[str, str]:
    url = f"{keycloak.issuer}/protocol/openid-connect/token"
    proof = {} if prover is None else {"DPoP": prover.proof("POST", url, "", ath=None)}
    async with http.post(url, data={**PASSWORD, **APP, **form}, headers={**proof, **(headers or {})}) as response:
        answer = await response.json()
        assert response.status == 200, answer
        return answer


async def get(gateway: RunningGateway, path: str, scheme: str, token: str, *lines: str) -> tuple[int, str]:
    answer = await gateway.get(path, f"Authorization: {scheme} {token}", *lines)
    return answer.status, answer.code if answer.status != 200 else ""


def proof(token: str, path: str = "/api/x", by: Prover = OWN, **more) -> str:
    return f"DPoP: {by.proof('GET', f'http://gw.example{path}', token, **more)}"


async def test_a_token_that_keycloak_binds_to_a_key_is_good_with_its_proofs_only(http, keycloak, running):
    gateway, backend = running
    answer = await tokens(http, keycloak, OWN)
    assert answer["token_type"] == "DPoP"
    token = answer["access_token"]
    for path in ("/api/x", "/wanted/x"):
        assert await get(gateway, path, "DPoP", token, proof(token, path)) == (200, "")
        assert backend.requests[-1].value("X-User-Name") == "alice"
        assert await get(gateway, path, "Bearer", token) == (401, "invalid_token")
        assert await get(gateway, path, "DPoP", token) == (401, "invalid_dpop_proof")
        assert await get(gateway, path, "DPoP", token, proof(token, path, THIEF)) == (401, "invalid_dpop_proof")
        assert await get(gateway, path, "DPoP", token, proof(token, "/other")) == (401, "invalid_dpop_proof")
        assert await get(gateway, path, "DPoP", token, proof(token, path, iat=int(time.time()) - 90)) == (
            401,
            "invalid_dpop_proof",
        )
        used = proof(token, path)
        assert await get(gateway, path, "DPoP", token, used) == (200, "")
        assert await get(gateway, path, "DPoP", token, used) == (401, "invalid_dpop_proof")


async def test_a_token_that_keycloak_does_not_bind_has_no_use_for_a_proof(http, keycloak, running):
    gateway, _ = running
    token = (await tokens(http, keycloak))["access_token"]
    assert await get(gateway, "/api/x", "Bearer", token) == (200, "")
    assert await get(gateway, "/api/x", "DPoP", token, proof(token)) == (401, "invalid_token")
    assert await get(gateway, "/wanted/x", "Bearer", token) == (401, "invalid_token")


async def test_a_token_that_keycloak_binds_to_a_certificate_is_good_over_it_only(http, keycloak, register, running):
    gateway, backend = running
    await register(
        "mtls-app",
        secret="secret-of-mtls-app",
        directAccessGrantsEnabled=True,
        attributes={"tls.client.certificate.bound.access.tokens": "true"},
        defaultClientScopes=["basic", "profile", "roles", "audience"],
    )
    pem = trustme.CA().issue_cert("client.example").cert_chain_pems[0].bytes()
    der = base64.b64decode(b"".join(pem.split(b"\n")[1:-2]))
    form = {"client_id": "mtls-app", "client_secret": "secret-of-mtls-app"}
    shown = {"X-Test-Client-Cert": base64.b64encode(der).decode()}
    token = (await tokens(http, keycloak, headers=shown, **form))["access_token"]
    of_client = f"Client-Cert: :{base64.b64encode(der).decode()}:"
    assert await get(gateway, "/api/x", "Bearer", token, of_client) == (200, "")
    assert backend.requests[-1].value("X-User-Name") == "alice"
    assert await get(gateway, "/wanted/x", "Bearer", token, of_client) == (200, "")
    assert await get(gateway, "/api/x", "Bearer", token) == (401, "invalid_token")
    assert "bound by cnf (x5t#S256)" in gateway.lines.requests[-1]["reason"]
    other = base64.b64encode(der[:-1] + b"\0").decode()
    assert await get(gateway, "/api/x", "Bearer", token, f"Client-Cert: :{other}:") == (401, "invalid_token")
