"""An entry as bytes, before it is sealed, in a form that a reader makes facts of with little work.

    head | log position | fence | tags | names | scopes | texts | others

- `head` has a fixed length: the mark of the form, flags, times, and the lengths of the parts.
- `tags` are those by which the result may be purged. To make them takes longer than to decrypt the entry.
- `names` and `scopes` are JSON. They are the same for most tokens of a provider, so a reader remembers what they mean.
- `texts` are the claims that are ASCII texts, with a NUL between them; `others` is a JSON list of all other claims.

The bytes are authenticated. They are checked all the same: another version of the gateway may have written them. If
what an entry has to hold changes, or the claims that make tags (`gateway.introspection.invalidation.TOKEN_CLAIMS`), the
mark changes as well.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any, Final

from gateway.authn.facts import CLAIM_NAMES, Facts, Inactive, scope_set
from gateway.cache.entry import StoredEntry
from gateway.cache.key import TAG_BYTES
from gateway.cache.older_entry import decode_older
from gateway.http.bounded_memo import BoundedMemo
from gateway.introspection.ports import Memorable

_MARK: Final = 2
_MARK_BYTE: Final = b"\x02"
# Mark, flags; asked at, age, life, longest life, exp, nbf; then the lengths of all parts but the last.
_HEAD: Final = struct.Struct(">BBdqqqddBBHIII")
_HEAD_BYTES: Final = _HEAD.size
_ACTIVE, _ANNOUNCED, _HAS_EXP, _HAS_NBF, _HAS_MORE = 1, 2, 4, 8, 16  # more: a phantom token, or a reason
_TAGS_MAX: Final = 255
_SEPARATOR: Final = "\0"
# A larger number is not a time, and would not survive arithmetic.
_NUMBER_MAX: Final = 2**53
_MEMO_ENTRIES, _MEMO_BYTES = 256, 4096


class _Shape:
    """Holds the names of a result's claims: all in their order, and apart by where their values are."""

    def __init__(self, names: list[str], others: list[int]) -> None:
        pooled = [CLAIM_NAMES.pooled(name) for name in names]
        self.template: dict[str, Any] = dict.fromkeys(pooled)
        self.others = [pooled[at] for at in others]
        elsewhere = set(others)
        self.texts = [name for at, name in enumerate(pooled) if at not in elsewhere]


_SHAPES: Final[BoundedMemo[bytes, _Shape]] = BoundedMemo(_MEMO_ENTRIES)
_SCOPES: Final[BoundedMemo[bytes, frozenset[str]]] = BoundedMemo(_MEMO_ENTRIES)


def encode(entry: StoredEntry) -> bytes:
    """Raises `ValueError` for what JSON cannot hold."""
    result, flags = entry.result, _ANNOUNCED if entry.is_announced else 0
    exp = nbf = more = None
    names = scopes = texts = b""
    others: list[Any] = []
    if isinstance(result, Facts):
        exp, nbf, more = result.exp, result.nbf, result.phantom
        flags |= _ACTIVE | (0 if exp is None else _HAS_EXP) | (0 if nbf is None else _HAS_NBF)
        names, texts, others = _claims_parts(result.claims)
        scopes = _json(sorted(result.scopes))
    else:
        more = result.reason
    if more is not None:
        flags |= _HAS_MORE
        others.append(more)
    tags = _fixed(entry.tags)
    times = result.introspected_at, entry.age_ms, entry.left_ms, entry.kept_ms, exp or 0.0, nbf or 0.0
    parts = entry.log_position, entry.fence, tags, names, scopes, texts
    head = _HEAD.pack(_MARK, flags, *times, *map(len, parts))
    return b"".join((head, *parts, _json(others)))


def decode(text: bytes) -> StoredEntry | None:
    """The inverse of `encode`; `None` for an entry that another version of the gateway may have written."""
    if text[:1] != _MARK_BYTE:
        return decode_older(text)
    try:
        return _decoded(text)
    except (ValueError, RecursionError, StopIteration, IndexError, struct.error):
        return None


def _decoded(text: bytes) -> StoredEntry | None:
    head: Any = _HEAD.unpack_from(text)
    flags: int = head[1]
    age_ms: int = head[3]
    left_ms: int = head[4]
    kept_ms: int = head[5]
    fence_at: int = _HEAD_BYTES + head[8]
    tags_at: int = fence_at + head[9]
    names_at: int = tags_at + head[10]
    result = _result(text, head, flags, names_at)
    if result is None or not (_is_count(age_ms) and _is_count(left_ms) and _is_count(kept_ms)):
        return None
    if (names_at - tags_at) % TAG_BYTES:
        return None
    log_position, fence = text[_HEAD_BYTES:fence_at], text[fence_at:tags_at]
    tags = tuple([text[begin : begin + TAG_BYTES] for begin in range(tags_at, names_at, TAG_BYTES)])
    return StoredEntry(result, age_ms, left_ms, log_position, fence, kept_ms, bool(flags & _ANNOUNCED), tags)


def _result(text: bytes, head: Any, flags: int, names_at: int) -> Memorable | None:
    at: float = head[2]
    exp: float = head[6]
    nbf: float = head[7]
    scopes_at: int = names_at + head[11]
    texts_at: int = scopes_at + head[12]
    others_at: int = texts_at + head[13]
    others, more = _list(text[others_at:]), None
    if not (_is_time(at) and _is_time(exp) and _is_time(nbf)):
        return None
    if flags & _HAS_MORE:
        more = others.pop()
        if not isinstance(more, str):
            return None
    if not flags & _ACTIVE:
        return Inactive(at, more)
    claims = _claims(text[names_at:scopes_at], text[texts_at:others_at], others)
    scopes = _scopes(text[scopes_at:texts_at])
    if claims is None or scopes is None:
        return None
    return Facts(claims, at, exp if flags & _HAS_EXP else None, nbf if flags & _HAS_NBF else None, scopes, more)


def _claims_parts(claims: Any) -> tuple[bytes, bytes, list[Any]]:
    """The names, with the places of those whose values are in the third part; the texts; the other values."""
    places: list[int] = []
    texts: list[str] = []
    others: list[Any] = []
    for at, value in enumerate(claims.values()):
        if isinstance(value, str) and value.isascii() and _SEPARATOR not in value:
            texts.append(value)
        else:
            places.append(at)
            others.append(value)
    return _json([list(claims), places]), _SEPARATOR.join(texts).encode(), others


def _claims(names: bytes, texts: bytes, others: list[Any]) -> dict[str, Any] | None:
    shape = _SHAPES.known.get(names) or _new_shape(names)
    if shape is None or len(others) != len(shape.others):
        return None
    values = texts.decode("ascii").split(_SEPARATOR) if shape.texts else []
    if len(values) != len(shape.texts):
        return None
    claims = shape.template.copy()
    for at, name in enumerate(shape.texts):
        claims[name] = values[at]
    for at, name in enumerate(shape.others):
        claims[name] = others[at]
    return claims


def _new_shape(part: bytes) -> _Shape | None:
    match _list(part):
        case [list(names), list(places)]:
            pass
        case _:
            return None
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        return None
    if not all(type(place) is int and 0 <= place < len(names) for place in places) or len(set(places)) != len(places):
        return None
    shape = _Shape(names, places)
    if len(part) <= _MEMO_BYTES:
        _SHAPES.keep(part, shape)
    return shape


def _scopes(part: bytes) -> frozenset[str] | None:
    known = _SCOPES.known.get(part)
    if known is not None:
        return known
    scopes = _list(part)
    for scope in scopes:
        if not isinstance(scope, str):
            return None
    made = scope_set(tuple(scopes))
    if len(part) <= _MEMO_BYTES:
        _SCOPES.keep(part, made)
    return made


def _fixed(tags: tuple[bytes, ...]) -> bytes:
    """All tags in a row; nothing where one has another length, or there are very many: a reader makes them then."""
    if len(tags) > _TAGS_MAX or any(len(tag) != TAG_BYTES for tag in tags):
        return b""
    return b"".join(tags)


def _json(value: object) -> bytes:
    """In ASCII: a claim may hold a lone surrogate, which has no UTF-8."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _list(text: bytes) -> list[Any]:
    """Raises `ValueError` or `StopIteration` for anything else."""
    whole = text.decode("ascii")
    value, end = _SCAN(whole, 0)
    if end != len(whole) or not isinstance(value, list):
        raise ValueError("not a list")
    return value


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


# Not `json.loads`: it looks for blanks around the value in two functions of Python.
_DECODER: Final[Any] = json.JSONDecoder(parse_constant=_constant)
_SCAN: Final[Callable[[str, int], tuple[Any, int]]] = _DECODER.scan_once


def _is_time(value: float) -> bool:
    return -_NUMBER_MAX <= value <= _NUMBER_MAX


def _is_count(value: int) -> bool:
    return -_NUMBER_MAX <= value <= _NUMBER_MAX
