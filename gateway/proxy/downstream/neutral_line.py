"""The request line that aiohttp's parser gets in the place of the real one, which is put into its message.

That parser knows some methods alone, and gives some of them (`CONNECT`) a meaning of their own; it splits targets by
rules that are not ours, and fails on some. What both mean is decided by the pipeline, which gets them as they came.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from aiohttp.http_parser import RawRequestMessage

from gateway.http.request_line import RequestLine

# Whatever its method is, a request has a body where its fields say so, and so has this one.
_NEUTRAL = b"POST / HTTP/%d.%d"


def neutralised(line: RequestLine, wire: bytes) -> bytes:
    """`wire`, which begins with `line`, with the neutral one."""
    return _NEUTRAL % line.version + wire[line.size_bytes :]


def put_back(line: RequestLine, messages: deque[Any]) -> None:
    """Put the real line into the message that has just been parsed; not into the report of an error."""
    message, payload = messages[-1] if messages else (None, None)
    if isinstance(message, RawRequestMessage):
        message = message._replace(method=line.method, path=line.target, should_close=line.is_last)
        messages[-1] = message, payload
