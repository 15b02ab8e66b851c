"""Keys of identity tokens: read from PEM, named by their thumbprint, published without their private half."""

import base64
import hashlib
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gateway.config.identity_key import key_set, new_private_pem, read_identity_key


def pem(key, encryption=None) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode()


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_a_new_key_signs_what_its_published_half_verifies(algorithm):
    key = read_identity_key(new_private_pem(algorithm), needs_private=True)
    (published,) = json.loads(key_set([key]))["keys"]
    assert (published["kid"], published["alg"], published["use"]) == (key.kid, algorithm, "sig")
    assert "d" not in published
    token = jwt.encode({"sub": "a"}, key.private, algorithm)
    assert jwt.decode(token, jwt.PyJWK(published).key, [algorithm]) == {"sub": "a"}


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_the_kid_is_the_thumbprint(algorithm):
    key = read_identity_key(new_private_pem(algorithm), needs_private=True)
    needed = {name: key.jwk[name] for name in sorted(key.jwk) if name in {"crv", "kty", "x", "y"}}
    digest = hashlib.sha256(json.dumps(needed, separators=(",", ":")).encode()).digest()
    assert key.kid == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_the_thumbprint_is_that_of_rfc_8037():
    raw = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    der = bytes.fromhex("302a300506032b6570032100") + raw
    public = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(der).decode()}\n-----END PUBLIC KEY-----\n"
    assert read_identity_key(public, needs_private=False).kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_coordinate_keeps_its_leading_zeros():
    scalar = next(n for n in range(1, 5000) if ec.derive_private_key(n, ec.SECP256R1()).public_key()
                  .public_numbers().x >> 248 == 0)  # fmt: skip
    key = read_identity_key(pem(ec.derive_private_key(scalar, ec.SECP256R1())), needs_private=True)
    assert len(base64.urlsafe_b64decode(key.jwk["x"] + "=")) == 32


def test_a_public_key_is_published_and_each_key_once():
    private = new_private_pem("ES256")
    key = read_identity_key(private, needs_private=True)
    public = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    known = read_identity_key(public, needs_private=False)
    assert (known.kid, known.private) == (key.kid, None)
    assert len(json.loads(key_set([key, known]))["keys"]) == 1


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: pem(rsa.generate_private_key(65537, 2048)), "another kind"),
        (lambda: pem(ec.generate_private_key(ec.SECP384R1())), "another kind"),
        (lambda: pem(ed448.Ed448PrivateKey.generate()), "another kind"),
        (lambda: pem(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"x")), "passphrase"),
        (lambda: "not a key", "not a private key"),
        (lambda: "", "not a private key"),
    ],
)
def test_another_key_is_refused_in_two_halves(made, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_identity_key(made(), needs_private=True)
    assert "; write one made by `gateway keygen`" in str(caught.value)


def test_a_public_key_cannot_sign():
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    public = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(ValueError, match="not a private key"):
        read_identity_key(public, needs_private=True)


def test_no_repr_shows_it():
    assert "private" not in repr(read_identity_key(new_private_pem("EdDSA"), needs_private=True)).lower()
