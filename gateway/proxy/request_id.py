"""Ids that nobody can guess, from random bytes that are fetched for many at once."""

from __future__ import annotations

import os
from typing import Final

_ID_CHARS: Final = 32
_AT_ONCE: Final = 256


class RequestIds:
    """Of one process: made after it was, so that no two share what is left."""

    def __init__(self) -> None:
        self._left = ""
        self._position = 0

    def new(self) -> str:
        start = self._position
        self._position = end = start + _ID_CHARS
        if end > len(self._left):
            self._left = os.urandom(_ID_CHARS // 2 * _AT_ONCE).hex()
            start, self._position = 0, _ID_CHARS
            end = _ID_CHARS
        return self._left[start:end]
