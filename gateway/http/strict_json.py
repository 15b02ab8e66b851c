"""JSON from a peer that may be hostile or broken (RFC 8259), read so that it has one meaning or none.

Python's own reader takes `NaN`, lets the last of two equal keys win and recurses on deep input. A provider's
answer decides who gets in: what two readers could understand differently is refused here.
"""

from __future__ import annotations

import json
import math
import re
import sys
from typing import Any

# Real answers are two or three levels deep; Keycloak's `resource_access` and `authorization` reach six.
DEPTH_MAX = 32
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


class JSONError(ValueError):
    """What came is no JSON, or JSON of more than one meaning; the text says which, without quoting it."""


def loads(body: bytes, depth_max: int = DEPTH_MAX) -> Any:
    """The value of `body`, UTF-8 without a byte order mark. Raises `JSONError`."""
    if _is_deeper(body, depth_max):
        raise JSONError(f"nested deeper than {depth_max} levels")
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
    except JSONError:
        raise
    except (ValueError, RecursionError):
        # ValueError: no UTF-8, no JSON, or an integer of more digits than Python converts (CVE-2020-10735).
        raise JSONError("no JSON text") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # One provider's answers have the same names: interned, they are in memory once, however many answers are kept.
    value = {sys.intern(name): value for name, value in pairs}
    if len(value) != len(pairs):
        raise JSONError("a name stands twice in one object")
    return value


def _constant(name: str) -> Any:
    raise JSONError(f"{name} is no JSON number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise JSONError("a number is out of range")
    return value


def _is_deeper(body: bytes, depth_max: int) -> bool:
    if body.count(b"[") + body.count(b"{") <= depth_max:
        return False
    depth = 0
    for byte in _STRING.sub(b"", body).translate(None, _ALL_BUT_BRACKETS):
        depth += 1 if byte in b"[{" else -1
        if depth > depth_max:
            return True
    return False
