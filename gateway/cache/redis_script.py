"""A Lua script for Redis, and the name that Redis knows it by."""

from __future__ import annotations

import hashlib


class RedisScript:
    """`sha1` is the name that Redis gives it: not for security."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha1 = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
