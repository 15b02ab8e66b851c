"""Whether a backend's 401 says that the token it got is not valid (RFC 6750 §3.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAME = b"www-authenticate:"
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*+)"')
_BEARER = re.compile(rb"(?:^|,)[ \t]*bearer[ \t]")
_ERROR = re.compile(rb"\berror[ \t]*=[ \t]*invalid_token(?:[ \t]*(?:,|$))")
_LINE_MAX_BYTES = 2048  # longer than any real challenge


def rejects_token(lines: Iterable[bytes]) -> bool:
    """Whether one of the response's fields is a challenge of Bearer with the error `invalid_token`.

    What else stands between quotes is no part of it, whatever it says.
    """
    return any(_is_challenge(line) for line in lines)


def _is_challenge(line: bytes) -> bool:
    if len(line) > _LINE_MAX_BYTES or line[: len(_NAME)].lower() != _NAME:
        return False
    bare = _QUOTED.sub(_unquoted, line[len(_NAME) :].lower())
    bearer = _BEARER.search(bare)
    return bearer is not None and _ERROR.search(bare, bearer.end()) is not None


def _unquoted(quoted: re.Match[bytes]) -> bytes:
    return quoted[1] if quoted[1] == b"invalid_token" else b"-"
