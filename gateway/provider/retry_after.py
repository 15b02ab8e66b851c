"""Reads a provider's `Retry-After` (RFC 9110 §10.2.3): seconds or a date, bounded."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

# A provider that says "tomorrow" must not lock callers out for a day.
RETRY_AFTER_MAX_S = 300.0
_SECONDS = re.compile(r"[0-9]{1,10}")
_DATE_MAX_CHARS = 64


def parse_retry_after_s(value: str | None, now: float) -> float | None:
    """Seconds from `now` (since the epoch), from 0 to `RETRY_AFTER_MAX_S`. `None` for a value of neither form."""
    if value is None:
        return None
    if _SECONDS.fullmatch(value):
        return min(float(value), RETRY_AFTER_MAX_S)
    if len(value) > _DATE_MAX_CHARS:
        return None
    try:
        date = parsedate_to_datetime(value)
        # An HTTP date without a zone is GMT (RFC 9110 §5.6.7).
        moment_s = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):  # a year, or a zone, beyond what a date can have
        return None
    return min(max(moment_s - now, 0.0), RETRY_AFTER_MAX_S)
