"""Tokens that are bound to the client certificate of our TLS (RFC 8705 §3), over real handshakes."""

import base64
import ssl
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from support.backend import Backend, ok, script
from support.lanes import LANES, lane_keys
from support.running_gateway import configuration, gateways, provider_settings
from support.scripted_provider import ScriptedProvider
from support.wire import BrokenOffError, Client, request

SERVER, CLIENTS, STRANGERS = trustme.CA(), trustme.CA(), trustme.CA()


def x5t(der: bytes) -> str:
    return base64.urlsafe_b64encode(sha256(der).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificate = SERVER.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    CLIENTS.cert_pem.write_to_path(folder / "clients.pem")
    return folder


def issued(folder, name: str, authority: trustme.CA) -> tuple[str, str, bytes]:
    one = authority.issue_cert(f"{name}.example")
    one.private_key_pem.write_to_path(folder / f"{name}-key.pem")
    one.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    return str(folder / f"{name}.pem"), str(folder / f"{name}-key.pem"), x509.load_pem_x509_certificate(
        one.cert_chain_pems[0].bytes()
    ).public_bytes(Encoding.DER)  # fmt: skip


def self_signed(folder) -> tuple[str, str, bytes]:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "self")])
    begins = datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(begins).not_valid_after(begins + timedelta(days=2))
    certificate = builder.sign(key, hashes.SHA256())
    (folder / "self.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "self-key.pem").write_bytes(pem)
    return str(folder / "self.pem"), str(folder / "self-key.pem"), certificate.public_bytes(Encoding.DER)


def context(certificate: tuple[str, str, bytes] | None, version=ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    made = ssl.create_default_context()
    SERVER.configure_trust(made)
    made.maximum_version = version
    if certificate is not None:
        made.load_cert_chain(certificate[0], certificate[1])
    return made


async def get(gateway, tls: ssl.SSLContext, times: int = 1, token: str = "bound"):
    async with await Client.of(gateway.address, tls) as client:
        answers = []
        for _ in range(times):
            await client.send(request("GET", "/a", token=token))
            answers.append(await client.answer())
        return answers[-1]


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("mode", ["demand", "ask"])
async def test_a_bound_token_is_good_with_its_certificate_only(files, lane, mode) -> None:
    own, other, selfmade = issued(files, "own", CLIENTS), issued(files, "other", CLIENTS), self_signed(files)
    backend = Backend()
    backend.default = script(ok())
    await backend.start()
    tls = {name: str(files / f"{file}.pem") for name, file in (("certificate", "cert"), ("key", "key"))}
    tls |= {"client_ca": str(files / "clients.pem"), "client_certificate": mode}
    routes = [{"name": "api", "match": {"path": "/**"}, "backend": backend.url}]
    async with ScriptedProvider() as provider, gateways() as start:
        for token, der in (("bound", own[2]), ("selfmade", selfmade[2])):
            provider.answers[token] = {
                "active": True,
                "sub": "a",
                "token_type": "Bearer",
                "cnf": {"x5t#S256": x5t(der)},
            }
        provider.answers["plain"] = {"active": True, "sub": "a", "token_type": "Bearer"}
        text = configuration(
            providers={"p": provider_settings(provider)}, routes=routes, server={"tls": tls, **lane_keys(lane)}
        )
        gateway = await start(text)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            assert (await get(gateway, context(own, version), times=2)).status == 200
        refused = await get(gateway, context(other))
        assert (refused.status, refused.code) == (401, "invalid_token")
        assert (await get(gateway, context(other), token="plain")).status == 200
        strangers = (None, selfmade, issued(files, "stranger", STRANGERS))
        if mode == "demand":
            for one in strangers:
                with pytest.raises((ssl.SSLError, ConnectionError, BrokenOffError)):
                    await get(gateway, context(one))
        else:
            assert (await get(gateway, context(selfmade), times=2, token="selfmade")).status == 200
            for one in strangers:
                assert (await get(gateway, context(one))).status == 401
                assert (await get(gateway, context(one), token="plain")).status == 200
    await backend.stop()
