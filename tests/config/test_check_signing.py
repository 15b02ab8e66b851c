"""What is wrong with `signing` and `identity.token` is told with its place, and all of it at once."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.config.identity_key import new_private_pem
from gateway.config.load import load_text
from gateway.config.problems import ConfigError

PROVIDERS = "providers: {kc: {issuer: https://sso, client_id: g, client_secret: s}}\n"
TOKEN = "routes: [{name: a, backend: http://x:1, identity: {token: {audience: orders}}}]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    (folder / "s.pem").write_text(new_private_pem("ES256"))
    key = rsa.generate_private_key(65537, 2048)
    (folder / "rsa.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder


def problems(text: str, folder) -> list[str]:
    try:
        load_text(PROVIDERS + text, "g", environ={}, directory=folder)
    except ConfigError as error:
        return [f"{one.place}: {one.what.partition(';')[0]}" for one in error.problems]
    return []


def test_a_good_file_has_none(folder):
    assert problems(f"signing: {{key_file: s.pem, issuer: https://gw}}\n{TOKEN}", folder) == []


@pytest.mark.parametrize(
    ("signing", "told"),
    [
        ("", ["routes[0].identity.token: nothing signs the token"]),
        ("signing: {issuer: https://gw}", ["signing.key_file: is missing"]),
        ("signing: {key_file: s.pem}", ["signing.issuer: is missing"]),
        (
            "signing: {key_file: rsa.pem, issuer: https://gw}",
            ["signing.key_file: this is a key of another kind than P-256 (ES256) or Ed25519 (EdDSA)"],
        ),
        (
            "signing: {key_file: s.pem, issuer: https://gw, previous_key_files: [s.pem, rsa.pem]}",
            ["signing.previous_key_files[1]: this is a key of another kind than P-256 (ES256) or Ed25519 (EdDSA)"],
        ),
        (
            "signing: {key_file: s.pem, issuer: https://gw, path: /.gateway/events/keys}\nevents: {}",
            ["signing.path: /.gateway/events/keys lies under /.gateway/events, where events arrive (events.prefix)"],
        ),
    ],
)
def test_what_is_wrong_with_signing(folder, signing, told):
    assert problems(f"{signing}\n{TOKEN}", folder) == told


def test_files_that_are_not_there_are_all_told(folder):
    text = "signing: {key_file: no.pem, issuer: https://gw, previous_key_files: [s.pem, neither.pem]}"
    assert [place.partition(":")[0] for place in problems(f"{text}\n{TOKEN}", folder)] == [
        "signing.key_file",
        "signing.previous_key_files[1]",
    ]


@pytest.mark.parametrize("name", ["iss", "aud", "exp", "iat"])
def test_the_gateways_own_claims_are_not_the_callers(folder, name):
    route = f"{{audience: a, claims: {{{name}: sub, x: y}}}}"
    text = f"signing: {{key_file: s.pem, issuer: https://gw}}\nroutes: [{{name: a, backend: http://x:1, identity: {{token: {route}}}}}]"  # noqa: E501 - a file on two lines
    assert problems(text, folder) == [
        f"routes[0].identity.token.claims.{name}: {name} is what the gateway itself says in the token"
    ]


@pytest.mark.parametrize(
    ("identity", "place"),
    [
        ("{answer: x_user_id}", "answer: x_user_id and X-User-Id"),
        ("{token: {audience: a, header: XUserId}}", "token.header: XUserId and X-User-Id"),
        ("{headers: {}, answer: X-A, token: {audience: a, header: x.a}}", "answer: X-A and x.a"),
    ],
)
def test_no_two_headers_are_one_to_a_backend(folder, identity, place):
    text = f"signing: {{key_file: s.pem, issuer: https://gw}}\nroutes: [{{name: a, backend: http://x:1, identity: {identity}}}]"  # noqa: E501 - as above
    assert problems(text, folder) == [f"routes[0].identity.{place} are one header to a backend"]
