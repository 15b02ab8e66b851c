"""A provider's signing keys, and the tokens that tell of revocations: right ones, and wrong ones part by part."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LOGOUT = "http://schemas.openid.net/event/backchannel-logout"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
RISC = "https://schemas.openid.net/secevent/risc/event-type/"
SSF = "https://schemas.openid.net/secevent/ssf/event-type/"
_serial = count(1)


@cache
def rsa_key(number: int = 1, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The same key for a number: making one takes a while."""
    _ = number
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def key_for(algorithm: str, number: int = 1) -> Any:
    curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    if algorithm in curves:
        return ec.generate_private_key(curves[algorithm])
    return {"EdDSA": ed25519.Ed25519PrivateKey.generate, "Ed448": ed448.Ed448PrivateKey.generate}.get(
        algorithm, lambda: rsa_key(number)
    )()


def jwk(private: Any, kid: str | None = "k1", **more: Any) -> dict[str, Any]:
    """The public part; `more` replaces members, and None removes one."""
    kinds = {rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm, ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm}
    algorithm = next((kinds[kind] for kind in kinds if isinstance(private, kind)), jwt.algorithms.OKPAlgorithm)
    members = {**algorithm.to_jwk(private.public_key(), as_dict=True), "kid": kid, "use": "sig", **more}
    return {name: value for name, value in members.items() if value is not None}


def signed(claims: Any, private: Any = None, algorithm: str = "RS256", *, kid: str | None = "k1", **header: Any) -> str:
    """A compact JWS; `claims` may be bytes, header members of None are left out."""
    members = {"alg": algorithm, "kid": kid, **header}
    head = json.dumps({name: value for name, value in members.items() if value is not None}).encode()
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    text = f"{encoded(head)}.{encoded(payload)}"
    key = rsa_key() if private is None else private
    return f"{text}.{encoded(jwt.get_algorithm_by_name(algorithm).sign(text.encode(), key))}"


def forged_by_mac(claims: Any, private: Any = None, **header: Any) -> str:
    """HS256 under the public key's own text, which a careless verifier takes for a shared secret."""
    public = (private or rsa_key()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = {"alg": "HS256", "kid": "k1", **header}
    text = f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(claims).encode())}"
    return f"{text}.{encoded(hmac.digest(public, text.encode(), hashlib.sha256))}"


def unsigned(claims: Any, **header: Any) -> str:
    head = {"alg": "none", **header}
    return f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(claims).encode())}."


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def without(claims: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if name not in names}


@dataclass
class Issuer:
    """Makes tokens of `issuer` for `audience`; each has a `jti` of its own."""

    issuer: str
    audience: str = "gw"
    key: Any = field(default_factory=rsa_key)
    now: float | None = None

    def jwks(self) -> dict[str, Any]:
        return {"keys": [jwk(self.key)]}

    def logout_claims(self, **more: Any) -> dict[str, Any]:
        claims = {**self._common(), "sub": "alice", "events": {LOGOUT: {}}, **more}
        return {name: value for name, value in claims.items() if value is not None}

    def logout(self, **more: Any) -> str:
        return signed(self.logout_claims(**more), self.key, typ="logout+jwt")

    def event_claims(self, event: str = CAEP + "session-revoked", **more: Any) -> dict[str, Any]:
        subject = {"format": "iss_sub", "iss": self.issuer, "sub": "alice"}
        claims = {**self._common(), "sub_id": subject, "events": {event: {}}, **more}
        return {name: value for name, value in claims.items() if value is not None}

    def event(self, event: str = CAEP + "session-revoked", **more: Any) -> str:
        return signed(self.event_claims(event, **more), self.key, typ="secevent+jwt")

    def _common(self) -> dict[str, Any]:
        now = time.time() if self.now is None else self.now
        return {"iss": self.issuer, "aud": self.audience, "iat": int(now), "jti": f"event-{next(_serial)}"}
