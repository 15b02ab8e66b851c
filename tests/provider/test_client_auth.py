import base64
import logging
from pathlib import Path
from typing import get_args

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519

from gateway.authn.bearer import Token
from gateway.config.provider_model import Provider
from gateway.provider.client_auth import client_auth
from gateway.provider.grants import ClientCredentials

NOW = 1_700_000_000.5
ODD_ID = "gate way:ü+"
ODD_SECRET = "p%s:w/ &=é"
LONG_SECRET = "0123456789abcdef0123456789abcdef"
CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def pem(key, password=None):
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


def configured(**keys):
    return Provider(**{"client_id": "gateway", "issuer": "https://sso.example.com/realms/demo", **keys})


@pytest.fixture(params=["introspection", "token"])
async def seen(request, scripted, client):
    """Calls one endpoint with the given configuration and returns what the provider saw."""

    async def call(**keys):
        endpoints = {
            "introspection_endpoint": scripted.introspection_endpoint,
            "token_endpoint": scripted.token_endpoint,
        }
        provider = client(**{"client_secret": None, **endpoints, **keys})
        scripted.token_answer = {"access_token": "a", "token_type": "Bearer"}
        if request.param == "token":
            await provider.token(ClientCredentials())
        else:
            await provider.introspect(Token("t"))
        assert len(scripted.calls) == 1
        return scripted.calls[0]

    return call


WAYS = get_args(Provider.model_fields["client_auth"].annotation)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_the_configuration_is_there(way, rsa_key):
    made = client_auth(configured(client_auth=way, client_secret=LONG_SECRET, private_key=pem(rsa_key)))
    credentials = made.credentials(NOW)
    assert credentials.headers or credentials.pairs


def test_every_way_of_the_configuration_is_told_to_the_operator():
    everything = Path(__file__).parents[2] / "config" / "everything.yaml"
    (line,) = [line for line in everything.read_text().splitlines() if line.strip().startswith("client_auth:")]
    assert [way for way in WAYS if way not in line] == []


async def test_basic_encodes_id_and_secret_before_it_joins_them(seen):
    call = await seen(client_id=ODD_ID, client_secret=ODD_SECRET, client_auth="client_secret_basic")
    scheme, _, value = call.header("Authorization").partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(value) == b"gate+way%3A%C3%BC%2B:p%25s%3Aw%2F+%26%3D%C3%A9"
    assert "client_id" not in call.form
    assert "client_secret" not in call.form


async def test_post_puts_both_into_the_form(seen):
    call = await seen(client_id=ODD_ID, client_secret=ODD_SECRET, client_auth="client_secret_post")
    assert call.header("Authorization") is None
    assert (call.form["client_id"], call.form["client_secret"]) == (ODD_ID, ODD_SECRET)


async def test_none_names_the_client_and_proves_nothing(seen):
    call = await seen(client_auth="none")
    assert call.header("Authorization") is None
    assert call.form["client_id"] == "gateway"
    assert not {name for name in call.form if name.startswith("client_")} - {"client_id"}


async def test_client_secret_jwt_signs_with_the_secret(seen):
    issuer = "https://sso.example.com/realms/demo"
    call = await seen(client_secret=LONG_SECRET, client_auth="client_secret_jwt", issuer=issuer)
    assert call.header("Authorization") is None
    assert call.form["client_assertion_type"] == CLIENT_ASSERTION
    assert LONG_SECRET.encode() not in call.body
    claims = jwt.decode(call.form["client_assertion"], LONG_SECRET, algorithms=["HS256"], audience=issuer)
    assert claims["iss"] == claims["sub"] == "gateway"


async def test_private_key_jwt_signs_with_the_key(seen, rsa_key):
    issuer = "https://sso.example.com/realms/demo"
    call = await seen(private_key=pem(rsa_key), private_key_id="k1", client_auth="private_key_jwt", issuer=issuer)
    assertion = call.form["client_assertion"]
    claims = jwt.decode(assertion, rsa_key.public_key(), algorithms=["RS256"], audience=issuer)
    assert claims["iss"] == claims["sub"] == call.form["client_id"] == "gateway"
    assert jwt.get_unverified_header(assertion)["kid"] == "k1"
    assert call.header("Authorization") is None
    assert "client_secret" not in call.form


def assertion_of(auth, now=NOW):
    return dict(auth.credentials(now).pairs)["client_assertion"]


def unverified(assertion):
    return jwt.decode(assertion, options={"verify_signature": False})


def test_an_assertion_is_short_lived_and_for_one_use():
    auth = client_auth(configured(client_auth="client_secret_jwt", client_secret=LONG_SECRET))
    first, second = unverified(assertion_of(auth)), unverified(assertion_of(auth))
    assert first["iat"] == int(NOW)
    assert first["exp"] == int(NOW) + 60
    assert first["jti"] != second["jti"]


@pytest.mark.parametrize(
    ("keys", "audience"),
    [
        ({"issuer": "https://a/realms/x", "token_endpoint": "https://a/t"}, "https://a/realms/x"),
        ({"issuer": None, "introspection_endpoint": "https://a/i", "token_endpoint": "https://a/t"}, "https://a/t"),
        ({"issuer": None, "introspection_endpoint": "https://a/i"}, "https://a/i"),
    ],
)
def test_the_audience_is_the_issuer_as_one_text_else_an_endpoint(keys, audience):
    auth = client_auth(configured(client_auth="client_secret_jwt", client_secret=LONG_SECRET, **keys))
    assert unverified(assertion_of(auth))["aud"] == audience


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (ec.generate_private_key(ec.SECP521R1()), "ES512"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
        (ed448.Ed448PrivateKey.generate(), "EdDSA"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_the_algorithm_follows_the_key(key, alg):
    assertion = assertion_of(client_auth(configured(client_auth="private_key_jwt", private_key=pem(key))))
    assert jwt.get_unverified_header(assertion)["alg"] == alg
    jwt.decode(assertion, key.public_key(), algorithms=[alg], options={"verify_aud": False, "verify_exp": False})


@pytest.mark.parametrize(
    ("private_key", "message"),
    [
        ("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n", "not a PEM private key"),
        ("secret", "not a PEM private key"),
        (pem(ec.generate_private_key(ec.SECP256R1()), b"password"), "encrypted"),
        (pem(rsa.generate_private_key(65537, 1024)), "1024 bits"),
        (pem(ec.generate_private_key(ec.SECP256K1())), "secp256k1"),
        (pem(x25519.X25519PrivateKey.generate()), "cannot sign a JWT"),
        (pem(dsa.generate_private_key(1024)), "cannot sign a JWT"),
    ],
    ids=["nonsense", "not PEM", "encrypted", "short RSA", "another curve", "X25519", "DSA"],
)
def test_a_key_that_cannot_sign_is_found_when_the_client_is_made(client, private_key, message):
    with pytest.raises(ValueError, match=message) as caught:
        client(client_auth="private_key_jwt", private_key=private_key, introspection_endpoint="https://a/i")
    assert "nonsense" not in str(caught.value)


def test_a_short_secret_signs_as_it_is_and_is_warned_of_once(caplog):
    with caplog.at_level(logging.WARNING):
        auth = client_auth(configured(client_auth="client_secret_jwt", client_secret="short"))
    assert "RFC 7518" in caplog.text
    assert "short" not in caplog.text.replace("shorter", "")
    header, payload, signature = assertion_of(auth).split(".")
    assert jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).verify(
        f"{header}.{payload}".encode(), b"short", jwt.utils.base64url_decode(signature)
    )


@pytest.mark.parametrize("way", WAYS)
def test_no_repr_shows_a_secret(way, rsa_key):
    key = pem(rsa_key)
    auth = client_auth(configured(client_auth=way, client_secret=LONG_SECRET, private_key=key))
    credentials = auth.credentials(NOW)
    shown = repr(auth) + repr(credentials)
    secrets = [
        LONG_SECRET,
        key,
        *(value for _, value in (*credentials.headers, *credentials.pairs) if value != "gateway"),
    ]
    assert not [secret for secret in secrets if secret in shown]
