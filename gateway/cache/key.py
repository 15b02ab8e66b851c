"""Keys that tell nothing of what they stand for: HMAC-SHA256 (RFC 2104) under keys derived from `cache.secret`.

Fields are length-delimited before they are hashed, so that no two different pairs give the same text: a token at
one provider is never found under another (GHSA-4mq7-pvjg-xp2r). Nothing else of a token is kept.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive

_KEY_BYTES = 32
_LENGTH_BYTES = 8
_BLOCK_BYTES = 64
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


class Keys:
    """What one `cache.secret` gives. Without one it is random: of use within this process alone.

    `sealing` encrypts what leaves the process. `fleet` names those who share the secret, in the open.
    """

    def __init__(self, secret: bytes | None) -> None:
        root = secret or secrets.token_bytes(_KEY_BYTES)
        self._token_key: Final = _derived(root, b"gateway cache: tokens")
        self._token_macs: dict[bytes, _Mac] = {}  # by identity: one for each provider
        self._sub_mac: Final = _Mac(_derived(root, b"gateway cache: tags"), b"sub")
        self.sealing: Final = _derived(root, b"gateway cache: sealing")
        self.fleet: Final = _derived(root, b"gateway cache: name of the fleet")[:8].hex()

    def key(self, identity: bytes, token: Token) -> bytes:
        mac = self._token_macs.get(identity)
        if mac is None:
            mac = self._token_macs[identity] = _Mac(self._token_key, identity)
        return mac.of(token.value)

    def sub_tag(self, sub: str) -> bytes:
        return self._sub_mac.of(sub)

    def tags(self, answer: Facts | Inactive) -> tuple[bytes, ...]:
        """What an answer may be purged by beside its key. Another claim to evict by is one more line here."""
        if isinstance(answer, Inactive):
            return ()
        sub = answer.claims.get("sub")
        return (self.sub_tag(sub),) if isinstance(sub, str) else ()


def _derived(root: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=purpose).derive(root)


class _Mac:
    """HMAC-SHA256 of `first`, length-delimited, and a text; both halves are computed up to the text only once."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes, first: bytes) -> None:
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(block.translate(_INNER_PAD) + len(first).to_bytes(_LENGTH_BYTES, "big") + first)
        self._outer = sha256(block.translate(_OUTER_PAD))

    def of(self, text: str) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        # A claim may hold a lone surrogate, which JSON can write and UTF-8 can not.
        inner.update(text.encode("utf-8", "surrogatepass"))
        outer.update(inner.digest())
        return outer.digest()
