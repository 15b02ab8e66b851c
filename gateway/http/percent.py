"""Percent-encoding in its canonical form, for patterns in the file and for targets on the wire.

RFC 3986 §6.2.2: hex digits become upper case, and encoded unreserved characters are decoded, once. Nothing else is
rewritten; the caller refuses characters that are not allowed.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

_TRIPLET = re.compile(r"%[0-9A-Fa-f]{2}")
_BAD_TRIPLET = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def has_bad_triplet(text: str) -> bool:
    """Whether a `%` is not followed by two hex digits."""
    return "%" in text and _BAD_TRIPLET.search(text) is not None


def canonical_percent(text: str) -> str:
    """`text` with its triplets in canonical form; idempotent."""
    if "%" not in text:
        return text
    return _TRIPLET.sub(_canonical_triplet, text)


def percent_decoded(text: str) -> str | None:
    """`text` decoded as UTF-8 for a comparison with a claim, or `None` where it is not UTF-8."""
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return None


def _canonical_triplet(match: re.Match[str]) -> str:
    triplet = match[0].upper()
    character = chr(int(triplet[1:], 16))
    return character if character in _UNRESERVED else triplet
