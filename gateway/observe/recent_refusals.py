"""The last refusals of this process with their reasons, for an operator who holds the admin token. In memory alone."""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

from gateway.proxy.access_record import AccessRecord

KEPT: Final = 100
_TEXT_MAX = 300


class _Refused(NamedTuple):
    time: float
    route: str
    method: str
    path: str
    status: int
    code: str | None
    reason: str | None
    client: str
    subject: str | None
    request_id: str


class RecentRefusals:
    """Keeps what the records say, and never a record: that holds its request's token, facts and configuration.

    Texts are cut only when somebody asks, since clients may cause thousands of refusals.
    """

    def __init__(self) -> None:
        self._refused: deque[_Refused] = deque(maxlen=KEPT)

    def add(self, record: AccessRecord) -> None:
        self._refused.append(
            _Refused(
                record.started_at,
                record.route,
                record.method,
                record.path,
                record.status,
                record.code,
                record.reason,
                record.client,
                record.subject,
                record.request_id,
            )
        )

    def as_json(self) -> list[dict[str, Any]]:
        """The newest first. What a client may have made long is cut; there is no token and no query in it."""
        return [
            {name: _cut(value) if isinstance(value, str) else value for name, value in refused._asdict().items()}
            for refused in reversed(self._refused)
        ]


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}…"
