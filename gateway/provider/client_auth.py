"""Client authentication: how the gateway proves to a provider who it is.

RFC 6749 §2.3, RFC 7523 §2.2, OpenID Connect Core §9. Decides what goes into the header fields and the form of a call.
Token endpoint and introspection endpoint get the same (RFC 7662 §2.1 leaves the choice open, and providers
authenticate both alike). Secrets appear in no `repr`.
"""

from __future__ import annotations

import base64
import logging
import secrets
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote_plus

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from gateway.config.provider_model import Provider

_log = logging.getLogger(__name__)

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Keycloak refuses an assertion that is valid for longer than a minute.
_ASSERTION_LIFE_S = 60
_RSA_MIN_BITS = 2048  # RFC 7518 §3.3
_HS256_MIN_BYTES = 32  # RFC 7518 §3.2
_ALG_BY_CURVE = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}

SigningKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey


@dataclass(frozen=True, slots=True)
class Credentials:
    """The header fields and the form's pairs that authenticate one call."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    pairs: tuple[tuple[str, str], ...] = field(default=(), repr=False)


class ClientAuth(Protocol):
    @property
    def secret(self) -> str:
        """The secret that is sent as it stands and must be in no log; empty for none."""
        ...

    def credentials(self, now: float) -> Credentials:
        """The credentials of one call made at `now`, in seconds since the epoch."""
        ...


def client_auth(provider: Provider) -> ClientAuth:
    """The authentication that the configuration names. Raises `ValueError` for a private key that cannot sign."""
    secret = _text(provider.client_secret)
    match provider.client_auth:
        case "client_secret_basic":
            return BasicAuth(provider.client_id, secret)
        case "client_secret_post":
            return FormAuth(provider.client_id, secret)
        case "client_secret_jwt":
            return AssertionAuth(provider.client_id, _audience(provider), "HS256", _mac_key(secret))
        case "private_key_jwt":
            key = _signing_key(_text(provider.private_key))
            return AssertionAuth(provider.client_id, _audience(provider), _alg(key), key, provider.private_key_id)
        case "none":
            return NoAuth(provider.client_id)


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """Form-encodes id and secret *before* joining them, so that a colon stays in its half (RFC 6749 §2.3.1)."""

    client_id: str
    client_secret: str = field(repr=False)

    @property
    def secret(self) -> str:
        return self.client_secret

    def credentials(self, now: float) -> Credentials:  # noqa: ARG002 - only assertions have a time
        userpass = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
        return Credentials(headers=(("Authorization", f"Basic {base64.b64encode(userpass.encode()).decode()}"),))


@dataclass(frozen=True, slots=True)
class FormAuth:
    """Puts id and secret into the form (RFC 6749 §2.3.1)."""

    client_id: str
    client_secret: str = field(repr=False)

    @property
    def secret(self) -> str:
        return self.client_secret

    def credentials(self, now: float) -> Credentials:  # noqa: ARG002
        return Credentials(pairs=(("client_id", self.client_id), ("client_secret", self.client_secret)))


@dataclass(frozen=True, slots=True)
class NoAuth:
    """Only names the client, which is public and proves nothing (RFC 6749 §3.2.1)."""

    client_id: str

    @property
    def secret(self) -> str:
        return ""

    def credentials(self, now: float) -> Credentials:  # noqa: ARG002
        return Credentials(pairs=(("client_id", self.client_id),))


@dataclass(frozen=True, slots=True)
class AssertionAuth:
    """Signs a new JWT for each call, because providers accept each `jti` once (RFC 7523 §3)."""

    client_id: str
    audience: str
    alg: str
    key: SigningKey | bytes = field(repr=False)
    key_id: str | None = None

    @property
    def secret(self) -> str:
        return ""

    def credentials(self, now: float) -> Credentials:
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.audience,
            "jti": secrets.token_urlsafe(16),
            "iat": int(now),
            "exp": int(now) + _ASSERTION_LIFE_S,
        }
        header = {"kid": self.key_id} if self.key_id else None
        assertion = jwt.encode(claims, self.key, algorithm=self.alg, headers=header)
        return Credentials(
            pairs=(
                ("client_id", self.client_id),
                ("client_assertion_type", _ASSERTION_TYPE),
                ("client_assertion", assertion),
            )
        )


def _audience(provider: Provider) -> str:
    """The issuer, as one text: draft-ietf-oauth-rfc7523bis and OpenID Connect Core §9 (errata 3) ask for that.

    Keycloak accepts it at every endpoint. Without an issuer it is the endpoint (RFC 7523 §3, point 3).
    """
    return provider.issuer or provider.token_endpoint or provider.introspection_endpoint or ""


def _mac_key(secret: str) -> bytes:
    key = secret.encode()
    if len(key) < _HS256_MIN_BYTES:
        what = "client_secret has fewer than 32 bytes, which RFC 7518 §3.2 asks of client_secret_jwt"
        _log.warning(what, extra={"event": "client_secret_short"})
    # HMAC pads a short key with zero bytes anyway (RFC 2104 §2). Padded here, PyJWT does not warn at each call.
    return key.ljust(_HS256_MIN_BYTES, b"\0")


def _signing_key(pem: str) -> SigningKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except TypeError:
        raise ValueError("private_key is encrypted; write one without a password, by private_key_file") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("private_key is not a PEM private key; write the whole text, from BEGIN to END") from None
    if isinstance(key, RSAPrivateKey) and key.key_size < _RSA_MIN_BITS:
        raise ValueError(f"private_key has {key.key_size} bits; write an RSA key of {_RSA_MIN_BITS} bits or more")
    if isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey):
        return key
    raise ValueError("private_key is of a type that cannot sign a JWT; write an RSA, EC or Ed25519 key")


def _alg(key: SigningKey) -> str:
    """The algorithm that goes with the key (RFC 7518 §3.1, RFC 8037 §3.1)."""
    if isinstance(key, RSAPrivateKey):
        return "RS256"
    if isinstance(key, EllipticCurvePrivateKey):
        if key.curve.name not in _ALG_BY_CURVE:
            raise ValueError(f"private_key is on the curve {key.curve.name}; write one on P-256, P-384 or P-521")
        return _ALG_BY_CURVE[key.curve.name]
    return "EdDSA"


def _text(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
