"""Where a backend's answer goes."""

from __future__ import annotations

from typing import Protocol

from gateway.http.response_head import ResponseHead
from gateway.proxy.upstream.backend_error import BackendError


class ResponseSink(Protocol):
    """Who an answer is for. Called in this order; none of it may raise.

    `answered` once, unless it breaks before; then `received` for each piece of the body, or, after a 101, of what is
    no HTTP any more; then either `ended` or `broke`, after which nothing more comes.
    """

    def informed(self, head: ResponseHead) -> None:
        """An interim answer (RFC 9110 §15.2)."""

    def answered(self, head: ResponseHead) -> None: ...

    def whole(self, head: ResponseHead, body: bytes) -> None:
        """The final answer with all of its body; stands for `answered`, `received` and `ended`."""

    def received(self, data: bytes) -> None: ...

    def paused(self) -> None:
        """All that has come for now has been handed over."""

    def half_ended(self) -> bool:
        """After a 101: the backend sends no more. Whether it is still sent something; otherwise `ended` follows."""

    def ended(self) -> None: ...

    def broke(self, error: BackendError) -> None: ...

    def writable(self) -> None:
        """What was written has gone far enough for more."""
