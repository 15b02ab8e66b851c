"""DPoP proofs by RFC 9449: right ones, and wrong ones part by part."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import Any

from support.signing import jwk, key_for, signed

from gateway.authn.proof_key import thumbprint_of

_serial = count(1)
_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n"), "OKP": ("crv", "kty", "x")}


@dataclass
class Prover:
    """A client with a key of its own. `header` and `claims` of `proof` replace members; None removes one."""

    algorithm: str = "ES256"
    key: Any = field(default=None)

    def __post_init__(self) -> None:
        self.key = key_for(self.algorithm, 7) if self.key is None else self.key

    @property
    def jwk(self) -> dict[str, Any]:
        return {name: value for name, value in jwk(self.key, None).items() if name not in ("use", "key_ops")}

    @property
    def jkt(self) -> str:
        public = self.jwk
        return thumbprint_of({name: public[name] for name in _MEMBERS[public["kty"]]})

    def proof(
        self,
        method: str,
        uri: str,
        token: str,
        *,
        header: dict[str, Any] | None = None,
        by: Any = None,
        **claims: Any,
    ) -> str:
        """`by` is the key that signs it, where that is not the one in it."""
        members = {
            "htm": method,
            "htu": uri,
            "iat": int(time.time()),
            "jti": f"proof-{next(_serial)}",
            "ath": ath(token),
            **claims,
        }
        kept = {name: value for name, value in members.items() if value is not None}
        head = {"typ": "dpop+jwt", "jwk": self.jwk, **(header or {})}
        return signed(kept, self.key if by is None else by, head.pop("alg", self.algorithm), kid=None, **head)

    def headers(self, method: str, uri: str, token: str, **more: Any) -> list[tuple[str, str]]:
        return [("Authorization", f"DPoP {token}"), ("DPoP", self.proof(method, uri, token, **more))]


def ath(token: str) -> str:
    return base64.urlsafe_b64encode(sha256(token.encode()).digest()).rstrip(b"=").decode()
