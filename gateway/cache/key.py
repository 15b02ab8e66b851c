"""Keys that tell nothing of what they stand for: HMAC-SHA256 (RFC 2104) under keys derived from `cache.secret`.

Fields are length-delimited before they are hashed, so that no two different pairs give the same text: a token at
one provider is never found under another (GHSA-4mq7-pvjg-xp2r). Nothing else of a token is kept.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive

_KEY_BYTES = 32
_LENGTH_BYTES = 8


class Keys:
    """What one `cache.secret` gives. Without one it is random: of use within this process alone.

    `sealing` encrypts what leaves the process. `fleet` names those who share the secret, in the open.
    """

    def __init__(self, secret: bytes | None) -> None:
        root = secret or secrets.token_bytes(_KEY_BYTES)
        self._token_key: Final = _derived(root, b"gateway cache: tokens")
        self._tag_key: Final = _derived(root, b"gateway cache: tags")
        self.sealing: Final = _derived(root, b"gateway cache: sealing")
        self.fleet: Final = _derived(root, b"gateway cache: name of the fleet")[:8].hex()

    def key(self, identity: bytes, token: Token) -> bytes:
        return _mac(self._token_key, identity, token.value.encode("utf-8", "surrogatepass"))

    def sub_tag(self, sub: str) -> bytes:
        return self._tag(b"sub", sub)

    def tags(self, answer: Facts | Inactive) -> tuple[bytes, ...]:
        """What an answer may be purged by beside its key. Another claim to evict by is one more line here."""
        if isinstance(answer, Inactive):
            return ()
        sub = answer.claims.get("sub")
        return (self.sub_tag(sub),) if isinstance(sub, str) else ()

    def _tag(self, kind: bytes, value: str) -> bytes:
        # A claim may hold a lone surrogate, which JSON can write and UTF-8 can not.
        return _mac(self._tag_key, kind, value.encode("utf-8", "surrogatepass"))


def _derived(root: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=purpose).derive(root)


def _mac(key: bytes, first: bytes, second: bytes) -> bytes:
    return hmac.digest(key, len(first).to_bytes(_LENGTH_BYTES, "big") + first + second, "sha256")
