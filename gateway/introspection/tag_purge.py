"""Orders to forget that reach every tier, worker and instance.

A cached result has tags: its key, and one for each claim that it may be purged by, such as its `sub`. Tags are HMACs,
so an order tells only those who hold the secret what it means.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_ID_BYTES = 16
# Enough to recognise an order that comes again by another way, which takes a second or so.
_KNOWN_MAX = 10_000


@dataclass(frozen=True, slots=True)
class TagPurge:
    """Orders to forget the results that have one of `tags`, or with `None` all of them.

    A process may get the order twice, from its supervisor and from the fleet's log. By `id` it forgets only once: the
    second time would throw away newer results. With `is_revocation` another worker has found the token inactive, and
    inactive results stay. With `is_of_realms` the tags are those of whole realms: open streams are asked about again,
    not ended. With `not_before` (wall clock) tokens that these realms issued earlier are inactive, whenever they are
    first seen. With `revoked_at` (wall clock) what has the tags was evicted then: where nobody is asked about a token,
    it stays inactive (`gateway.introspection.revocations`).
    """

    id: bytes
    tags: frozenset[bytes] | None
    is_revocation: bool = False
    not_before: float | None = None
    is_of_realms: bool = False
    revoked_at: float | None = None

    def covers(self, tags: Iterable[bytes]) -> bool:
        return self.tags is None or not self.tags.isdisjoint(tags)


class KnownPurges:
    """Remembers the ids of the latest orders."""

    def __init__(self) -> None:
        self._ids: OrderedDict[bytes, None] = OrderedDict()

    def is_new(self, purge: TagPurge) -> bool:
        """Whether the order comes for the first time. Remembers it."""
        if purge.id in self._ids:
            return False
        self._ids[purge.id] = None
        if len(self._ids) > _KNOWN_MAX:
            self._ids.popitem(last=False)
        return True


def purge_everything() -> TagPurge:
    return TagPurge(secrets.token_bytes(_ID_BYTES), None)


def purge_of(tags: Iterable[bytes], revoked_at: float | None = None) -> TagPurge:
    return TagPurge(secrets.token_bytes(_ID_BYTES), frozenset(tags), revoked_at=revoked_at)


def purge_to_json(purge: TagPurge) -> dict[str, Any]:
    """For the fleet's log, which holds no revocations of this type; shows nothing but HMACs and a random number."""
    tags = None if purge.tags is None else sorted(tag.hex() for tag in purge.tags)
    message: dict[str, Any] = {"id": purge.id.hex(), "marks": tags}
    if purge.not_before is not None:
        message["not_before"] = purge.not_before
    if purge.is_of_realms:
        message["realms"] = True
    if purge.revoked_at is not None:
        message["revoked_at"] = purge.revoked_at
    return message


def purge_from_json(value: Mapping[str, Any]) -> TagPurge:
    """The inverse of `purge_to_json`. Raises `ValueError` for anything else."""
    match value:
        case {"id": str(purge_id), "marks": None}:
            return TagPurge(bytes.fromhex(purge_id), None)
        case {"id": str(purge_id), "marks": [*tags]} if all(isinstance(tag, str) for tag in tags):
            not_before = read_not_before(value.get("not_before"))
            of_what = frozenset(map(bytes.fromhex, tags))
            is_of_realms = value.get("realms") is True
            revoked_at = read_not_before(value.get("revoked_at"))
            return TagPurge(
                bytes.fromhex(purge_id),
                of_what,
                not_before=not_before,
                is_of_realms=is_of_realms,
                revoked_at=revoked_at,
            )
    raise ValueError("not a purge")


def read_not_before(value: object) -> float | None:
    """Raises `ValueError` for a value that is not a time."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise ValueError("not a time in seconds")
