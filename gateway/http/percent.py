"""Percent-encoding in its canonical form, for patterns in the file and for targets on the wire.

RFC 3986 §6.2.2: hex digits become upper case, and encoded unreserved characters are decoded, once. Nothing else is
rewritten; the caller refuses characters that are not allowed.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

_BAD_TRIPLET = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def _canonical_triplet(digits: str) -> str:
    character = chr(int(digits, 16))
    return character if character in _UNRESERVED else f"%{digits.upper()}"


# Two hex digits in each spelling. Anybody can send thousands of triplets in a target or a proof, and a table takes a
# fifth of the time of an expression that calls a function.
_HEX = "0123456789ABCDEFabcdef"
_CANONICAL = {one + other: _canonical_triplet(one + other) for one in _HEX for other in _HEX}


def has_bad_triplet(text: str) -> bool:
    """Whether a `%` is not followed by two hex digits."""
    return "%" in text and _BAD_TRIPLET.search(text) is not None


def canonical_percent(text: str) -> str:
    """`text` with its triplets in canonical form; idempotent."""
    if "%" not in text:
        return text
    first, *others = text.split("%")
    try:
        return first + "".join([_CANONICAL[part[:2]] + part[2:] for part in others])
    except KeyError:  # a `%` that begins no triplet stays as it is
        return first + "".join([_CANONICAL.get(part[:2], "%" + part[:2]) + part[2:] for part in others])


def percent_decoded(text: str) -> str | None:
    """`text` decoded as UTF-8 for a comparison with a claim, or `None` where it is not UTF-8."""
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return None
