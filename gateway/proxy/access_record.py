"""The record of one exchange: filled while it goes on, and handed to the recorder when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from gateway.http.rejected_token import rejects_token
from gateway.http.trace_context import TraceContext
from gateway.spans import Span

NO_ROUTE: Final = "none"


class AccessRecord:
    """Records one request and its response. Durations are seconds on the monotonic clock. It never holds a token.

    The class is not slotted: attributes that most exchanges do not set stay in the class.
    """

    request_id: str
    method: str
    path: str  # without the query, which may hold secrets
    client: str  # the address of the caller, as far as it is trusted
    started_at: float  # wall clock
    started_s: float = 0.0  # the same moment on the monotonic clock, where it was ever under way
    route: str = NO_ROUTE
    status: int = 0  # 0: the client left before there was one
    code: str | None = None  # of a refusal
    reason: str | None = None  # what the operator should know about it
    duration_s: float = 0.0
    backend: str | None = None  # which was asked last: scheme://host:port
    head_s: float | None = None  # until the response's head; only of a stream, whose length is not a request's duration
    backend_s: float | None = None  # request sent to response headers; None: no backend was asked
    provider: str | None = None
    subject: str | None = None
    client_id: str | None = None
    tier: str | None = None  # where the facts came from: local, redis or provider
    stale_s: float | None = None  # the age of facts that stood in because the provider could not tell
    trace: TraceContext | None = None
    spans: list[Span] | None = None  # what a request that is recorded has waited for
    bytes_received: int = 0  # of the body
    bytes_sent: int = 0
    # Called where the backend's response says that the gateway's own token is not valid.
    on_rejected: Callable[[], object] | None = None

    def __init__(self, request_id: str, method: str, path: str, client: str, started_at: float) -> None:
        self.request_id = request_id
        self.method = method
        self.path = path
        self.client = client
        self.started_at = started_at

    def note_challenges(self, lines: Iterable[bytes]) -> None:
        """The backend's response is a 401 with these fields."""
        if self.on_rejected is not None and rejects_token(lines):
            self.on_rejected()

    def so_far_s(self, now_s: float) -> float:
        """How long it has taken until `now_s` on the monotonic clock. Nothing, where it never was under way."""
        _ = now_s
        return 0.0
