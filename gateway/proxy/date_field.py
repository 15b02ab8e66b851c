"""The `Date` of responses (RFC 9110 §6.6.1), made once a second."""

from __future__ import annotations

import time
from email.utils import formatdate

_made_at = 0
_line = b""


def date_line() -> bytes:
    """The field with its end."""
    global _made_at, _line
    now = int(time.time())
    if now != _made_at:
        _made_at, _line = now, b"Date: %b\r\n" % formatdate(now, usegmt=True).encode()
    return _line
