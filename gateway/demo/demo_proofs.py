"""DPoP in the demo: the client's proofs, and what the provider's token endpoint makes of one (RFC 9449 §4, §5)."""

from __future__ import annotations

import base64
import time
from hashlib import sha256
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from gateway.authn.proof_key import read_proof_key
from gateway.authn.request_uri import is_same_resource
from gateway.demo.token_requests import TokenRefusal

_ALGORITHM = "ES256"
_TYPE = "dpop+jwt"
_WINDOW_S = 60


class DemoProver:
    """A client with a key of its own, which never leaves it."""

    def __init__(self) -> None:
        self._key = generate_private_key(SECP256R1())

    def proof(self, method: str, url: str, token: str | None = None) -> str:
        """A proof for one request; `token` is the one that it comes with, if any."""
        claims: dict[str, Any] = {"htm": method, "htu": url, "iat": int(time.time()), "jti": str(uuid4())}
        if token is not None:
            digest = sha256(token.encode()).digest()
            claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        jwk = jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return jwt.encode(claims, self._key, _ALGORITHM, {"typ": _TYPE, "jwk": jwk})


def bound_key(proof: str, method: str, url: str, now: float) -> str:
    """The thumbprint of the key that a token is to be bound to. Raises `TokenRefusal` (RFC 9449 §5)."""
    try:
        header = jwt.get_unverified_header(proof)
        claims = jwt.decode(proof, options={"verify_signature": False})
        key = read_proof_key(header.get("jwk"), _ALGORITHM)
        signing_input, _, signature = proof.rpartition(".")
        signed = base64.urlsafe_b64decode(signature + "==")
        is_good = (
            not isinstance(key, str)
            and header.get("typ") == _TYPE
            and header.get("alg") == _ALGORITHM
            and claims.get("htm") == method
            and is_same_resource(str(claims.get("htu")), url)
            and abs(now - claims.get("iat", 0)) <= _WINDOW_S
            and key.has_signed(signing_input.encode(), signed, _ALGORITHM)
        )
    except (jwt.InvalidTokenError, ValueError, TypeError):
        is_good = False
    if not is_good or isinstance(key, str):
        raise TokenRefusal(400, "invalid_dpop_proof", "Invalid DPoP proof")
    return key.thumbprint
