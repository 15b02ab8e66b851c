"""The last refusals of this process with their reasons, for an operator who holds the admin token. In memory alone."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from gateway.proxy.access_record import AccessRecord

KEPT: Final = 100
_TEXT_MAX = 300


class RecentRefusals:
    """Keeps the records as they are: nothing is made of one until somebody asks, since clients may cause thousands."""

    def __init__(self) -> None:
        self._records: deque[AccessRecord] = deque(maxlen=KEPT)

    def add(self, record: AccessRecord) -> None:
        self._records.append(record)

    def as_json(self) -> list[dict[str, Any]]:
        """The newest first. What a client may have made long is cut; there is no token and no query in it."""
        return [
            {
                "time": record.started_at,
                "route": record.route,
                "method": _cut(record.method),
                "path": _cut(record.path),
                "status": record.status,
                "code": record.code,
                "reason": _cut(record.reason),
                "client": _cut(record.client),
                "subject": _cut(record.subject),
                "request_id": _cut(record.request_id),
            }
            for record in reversed(self._records)
        ]


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}…"
