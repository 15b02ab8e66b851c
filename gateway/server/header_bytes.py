"""Header fields on the wire with the bytes they came with.

Field values may hold bytes that are no UTF-8 (obs-text, RFC 9110 §5.5); they travel as surrogates. aiohttp's writer
drops surrogates without a word, and has no setting for it, so its serializer is replaced, on both sides.
"""

from __future__ import annotations

import re

from aiohttp import http_writer
from multidict import CIMultiDict

_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def serialize(status_line: str, headers: CIMultiDict[str]) -> bytes:
    """A head. Raises `ValueError` where a control character would make one line two."""
    lines = [status_line, *(f"{name}: {value}" for name, value in headers.items())]
    if _FORBIDDEN.search("".join(lines)):
        raise ValueError("a header field has a control character")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def keep_header_bytes() -> None:
    """From now on, for all of this process."""
    http_writer._serialize_headers = serialize  # noqa: SLF001 - the one place that both sides pass through
