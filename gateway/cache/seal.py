"""Encrypts all that leaves the process: AES-256-GCM (NIST SP 800-38D), bound to the place where it lies.

Each place has a key of its own, and is authenticated as associated data too. So a text that was changed, or copied from
another place, does not open. Keys per place also keep a busy fleet, whose secret may live for years, far from the
number of random nonces at which two are expected to meet under one key.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.cache.prefixed_mac import PrefixedMac

_VERSION = b"\x01"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_OVERHEAD_BYTES = len(_VERSION) + _NONCE_BYTES + _TAG_BYTES


class Seal:
    """Seals and opens texts of at most `limit_bytes`, sealed."""

    def __init__(self, key: bytes, limit_bytes: int) -> None:
        self._keys: Final = PrefixedMac(key)
        self.limit_bytes = limit_bytes

    def seal(self, place: bytes, plain: bytes) -> bytes | None:
        """`plain` sealed for `place`, or `None` when it would be larger than the limit."""
        if len(plain) + _OVERHEAD_BYTES > self.limit_bytes:
            return None
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher(place).encrypt(nonce, plain, _VERSION + place)

    def open(self, place: bytes, sealed: bytes) -> bytes | None:
        """The text that was sealed for `place`, or `None` when `sealed` is anything else."""
        if not _OVERHEAD_BYTES <= len(sealed) <= self.limit_bytes or sealed[:1] != _VERSION:
            return None
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher(place).decrypt(nonce, body, _VERSION + place)
        except InvalidTag:
            return None

    def _cipher(self, place: bytes) -> AESGCM:
        return AESGCM(self._keys.of(place))
