"""What becomes of a client's field on the way to a backend, as far as its name says; found once for each name."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from functools import lru_cache
from typing import TypeVar

from gateway.http.bounded_memo import keep_at_most
from gateway.http.header_names import (
    FRAMING,
    HOP_BY_HOP,
    HTTPOXY,
    TOLD_TO_BACKENDS,
    fold_header_name,
    is_from_proxies,
)

T = TypeVar("T")

# The names that clients send are few. These bound what is remembered of others.
_REMEMBERED_NAMES_MAX = 128
_REMEMBERED_NAME_CHARS = 64
_NEVER_PASS = HOP_BY_HOP | FRAMING | HTTPOXY | TOLD_TO_BACKENDS


class Fate(Enum):
    PASSES = auto()
    STAYS = auto()
    PASSES_FROM_TRUSTED = auto()
    CONNECTION = auto()  # stays, and takes others with it
    VIA = auto()  # goes on in ours


class ByName(dict[str, T]):
    """What `about` says of each name, as it was sent: `by_name[name]`. It is asked when a name first comes."""

    def __init__(self, about: Callable[[str], T]) -> None:
        self._about = about

    def __missing__(self, name: str) -> T:
        said = self._about(name)
        if len(name) <= _REMEMBERED_NAME_CHARS:
            keep_at_most(_REMEMBERED_NAMES_MAX, self, name, said)
        return said


@lru_cache(maxsize=64)
def fates_of(gone: frozenset[str], *, keep_authorization: bool, trusted: frozenset[str]) -> ByName[Fate]:
    """One table for all routes with equal rules. `gone` are folded; `trusted` are lower case, with their separators.

    A name with a meaning counts in the one spelling that has it; in every other it is dropped, because a backend may
    read it as the first.
    """
    trusted_folded = frozenset(map(fold_header_name, trusted))

    def fate(name: str) -> Fate:
        lower, folded = name.lower(), fold_header_name(name)
        if lower == "connection":
            return Fate.CONNECTION
        if not folded or folded in gone:
            return Fate.STAYS  # to a backend that drops separators, a name without a letter or digit is no name
        if lower == "via":
            return Fate.VIA
        if folded in _NEVER_PASS:
            return Fate.STAYS
        if folded == "authorization":
            return Fate.PASSES if keep_authorization and lower == folded else Fate.STAYS
        if folded in trusted_folded or is_from_proxies(folded):
            return Fate.PASSES_FROM_TRUSTED if lower in trusted else Fate.STAYS
        return Fate.PASSES

    return ByName(fate)
