"""The fields of a request, with what deciding asks of them found once.

The lines of two requests of one client differ in little but the token. A `Block` is all the others, read once; the
`Fields` of a request are a block with its token put in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Pair = tuple[str, str]
Deciding = Mapping[str, list[str]]

# The fields that decide where a request goes and whether it may.
_DECIDING_NAMES = frozenset({"authorization", "content-length", "host", "transfer-encoding"})


class Fields(list[Pair]):
    """Name and value in order. `size` is theirs on the wire; `deciding` are the values by name in lower case.

    `token` is the only `Authorization` field's b64token (RFC 6750 §2.1) where that was seen to be one.
    """

    __slots__ = ("block", "deciding", "size", "token")

    size: int
    deciding: Deciding
    block: Block
    token: str | None


class Block:
    """The fields of a request but for the token's value, which stands at `token_at`, if anywhere.

    `body_bytes` is the declared length. `kept` is a place for what `gateway.http.headers` makes of it: by the identity
    of some rules, those rules, the lines that pass, and how many.
    """

    __slots__ = ("_deciding", "_size", "_token_at", "body_bytes", "kept", "pairs")

    def __init__(self, pairs: list[Pair], token_at: int | None, body_bytes: int | None) -> None:
        self.pairs = pairs
        self._token_at = token_at
        self._size, self._deciding = read_fields(pairs)
        self.body_bytes = body_bytes
        self.kept: dict[int, tuple[object, str, int]] = {}

    def fields(self, token: str | None) -> Fields:
        """Of a request with this token. `token` is there where there is a place for it."""
        fields = Fields(self.pairs)
        fields.block = self
        if token is None or self._token_at is None:
            fields.size, fields.deciding, fields.token = self._size, self._deciding, None
            return fields
        value = "Bearer " + token
        fields[self._token_at] = ("Authorization", value)
        fields.size = self._size + len(value)
        others = self._deciding["authorization"]
        is_only = len(others) == 1
        fields.token = token if is_only else None
        fields.deciding = {**self._deciding, "authorization": [value] if is_only else [value, *others]}
        return fields


def read_fields(pairs: Sequence[Pair]) -> tuple[int, dict[str, list[str]]]:
    """The size of all fields on the wire, and all values of each of those that decide."""
    size = 4 * len(pairs)
    deciding: dict[str, list[str]] = {}
    for name, value in pairs:
        size += len(name) + len(value)
        lower = name.lower()
        if lower in _DECIDING_NAMES:
            deciding.setdefault(lower, []).append(value)
    return size, deciding
