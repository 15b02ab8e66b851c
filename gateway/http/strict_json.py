"""Reads JSON from a peer that may be hostile or broken (RFC 8259), so that it has one meaning or none.

Python's own reader accepts `NaN`, takes the last of two equal keys and recurses on deep input. A provider's response
decides who gets in, so this reader refuses JSON that two readers could understand differently.
"""

from __future__ import annotations

import json
import math
import re
from functools import partial
from typing import Any

from gateway.http.bounded_memo import BoundedMemo

# Real responses are two or three levels deep; Keycloak's `resource_access` and `authorization` reach six.
DEPTH_MAX = 32
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


# More names than the responses of one provider have. A longer name is not expected to come again.
_POOLED_MAX = 4_096
_POOLED_CHARS_MAX = 128


class NamePool:
    """Keeps each name in memory once, however many documents have it.

    The pool is bounded, and it forgets. `sys.intern` does neither in CPython 3.12.0 to 3.12.6, where an interned text
    stays for ever (gh-113993): a sender of documents with ever new names would fill the memory.
    """

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: BoundedMemo[str, str] = BoundedMemo(_POOLED_MAX)

    def __len__(self) -> int:
        return len(self._names.known)

    def pooled(self, name: str) -> str:
        """The object that was kept for `name` first."""
        known = self._names.known.get(name)
        if known is not None or len(name) > _POOLED_CHARS_MAX:
            return known or name
        self._names.keep(name, name)
        return name


class JSONError(ValueError):
    """Says that the text is not JSON, or has more than one meaning, without quoting it."""


def loads(
    body: bytes, depth_max: int = DEPTH_MAX, *, pool: NamePool | None = None, containers_max: int | None = None
) -> Any:
    """Read the value of `body`, UTF-8 without a byte order mark. Raises `JSONError`.

    `pool` is for documents that are kept. `containers_max` bounds the objects and lists in documents of a sender that
    is not authenticated, because each of them costs a call. Brackets in texts count, too.
    """
    containers = body.count(b"[") + body.count(b"{")
    if containers_max is not None and containers > containers_max:
        raise JSONError(f"more than {containers_max} objects and lists")
    if containers > depth_max and _is_deeper(body, depth_max):
        raise JSONError(f"nested deeper than {depth_max} levels")
    hook = _object if pool is None else partial(_pooled_object, pool)
    try:
        return json.loads(body.decode(), object_pairs_hook=hook, parse_constant=_constant, parse_float=_float)
    except JSONError:
        raise
    except (ValueError, RecursionError):
        # ValueError: not UTF-8, not JSON, or an integer of more digits than Python converts (CVE-2020-10735).
        raise JSONError("not a JSON text") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise JSONError("a name stands twice in one object")
    return value


def _pooled_object(pool: NamePool, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    pooled = pool.pooled
    return _object([(pooled(name), value) for name, value in pairs])


def _constant(name: str) -> Any:
    raise JSONError(f"{name} is not a JSON number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise JSONError("a number is out of range")
    return value


def _is_deeper(body: bytes, depth_max: int) -> bool:
    depth = 0
    for byte in _STRING.sub(b"", body).translate(None, _ALL_BUT_BRACKETS):
        depth += 1 if byte in b"[{" else -1
        if depth > depth_max:
            return True
    return False
