"""Nonces for DPoP proofs (RFC 9449 §8, §9). Stateless: each instance with the same keys takes those of the others.

A nonce is the number of a minute and a MAC of it, so that nobody can make one for a minute that is still to come. That
is what it is for: a proof that was made beforehand, by somebody who had the key for a moment, does not have it.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence

_MINUTE_S = 60.0
_MINUTE_BYTES = 5
_MAC_BYTES = 16
_FORM = re.compile(r"[A-Za-z0-9_-]{28}")  # of both together
# Good for at least four minutes; one that another instance made a minute ahead of this clock is good, too.
_OLD_MAX = 4
_AHEAD_MAX = 1


class Nonces:
    """Issues and recognises nonces. Of several keys the first one issues."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)
        self._newest = (-1, "")

    def issue(self, now: float) -> str:
        """The nonce of this minute, by the wall clock."""
        minute = int(now // _MINUTE_S)
        if self._newest[0] != minute:
            self._newest = minute, _nonce(self._keys[0], minute)
        return self._newest[1]

    def is_fresh(self, nonce: str, now: float) -> bool:
        """Whether one of the keys has issued `nonce`, and not long ago. Its minute is believed by its MAC only."""
        minute = _minute_of(nonce)
        if minute is None or not -_OLD_MAX <= minute - int(now // _MINUTE_S) <= _AHEAD_MAX:
            return False
        return any(hmac.compare_digest(nonce, _nonce(key, minute)) for key in self._keys)


def _nonce(key: bytes, minute: int) -> str:
    data = minute.to_bytes(_MINUTE_BYTES, "big")
    return base64.urlsafe_b64encode(data + hmac.digest(key, data, "sha256")[:_MAC_BYTES]).decode().rstrip("=")


def _minute_of(nonce: str) -> int | None:
    if not _FORM.fullmatch(nonce):
        return None
    return int.from_bytes(base64.urlsafe_b64decode(nonce)[:_MINUTE_BYTES], "big")
