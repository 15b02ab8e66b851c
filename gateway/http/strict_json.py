"""JSON from a peer that may be hostile or broken (RFC 8259), read so that it has one meaning or none.

Python's own reader takes `NaN`, lets the last of two equal keys win and recurses on deep input. A provider's
answer decides who gets in: what two readers could understand differently is refused here.
"""

from __future__ import annotations

import json
import math
import re
from functools import partial
from typing import Any

from gateway.http.bounded_memo import BoundedMemo

# Real answers are two or three levels deep; Keycloak's `resource_access` and `authorization` reach six.
DEPTH_MAX = 32
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


# More names than one provider's answers have. What is longer is no name that comes again.
_POOLED_MAX = 4_096
_POOLED_CHARS_MAX = 128


class NamePool:
    """Keeps each name in memory once, however many documents have it.

    It is bounded, and it forgets. `sys.intern` does neither in CPython 3.12.0 to 3.12.6, where an interned text stays
    for ever (gh-113993): whoever may send documents with new names would fill the memory.
    """

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: BoundedMemo[str, str] = BoundedMemo(_POOLED_MAX)

    def __len__(self) -> int:
        return len(self._names.known)

    def pooled(self, name: str) -> str:
        """`name`, as the object that came first."""
        known = self._names.known.get(name)
        if known is not None or len(name) > _POOLED_CHARS_MAX:
            return known or name
        self._names.keep(name, name)
        return name


class JSONError(ValueError):
    """What came is no JSON, or JSON of more than one meaning; the text says which, without quoting it."""


def loads(
    body: bytes, depth_max: int = DEPTH_MAX, *, pool: NamePool | None = None, containers_max: int | None = None
) -> Any:
    """The value of `body`, UTF-8 without a byte order mark. Raises `JSONError`.

    `pool` is for documents that are kept. `containers_max` is for documents of somebody who has not shown who he is:
    each object and list costs a call, and that many are read at most. Brackets in texts count too.
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
        # ValueError: no UTF-8, no JSON, or an integer of more digits than Python converts (CVE-2020-10735).
        raise JSONError("no JSON text") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise JSONError("a name stands twice in one object")
    return value


def _pooled_object(pool: NamePool, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    pooled = pool.pooled
    return _object([(pooled(name), value) for name, value in pairs])


def _constant(name: str) -> Any:
    raise JSONError(f"{name} is no JSON number")


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
