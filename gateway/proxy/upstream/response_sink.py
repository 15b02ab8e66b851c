"""Where a backend's response goes."""

from __future__ import annotations

from typing import Protocol

from gateway.http.response_head import ResponseHead
from gateway.proxy.upstream.backend_error import BackendError


class ResponseSink(Protocol):
    """Takes one response, in this order; no method may raise.

        informational*  response_head  (body_data | flush)*  end_of_message
        informational*  complete_response
        anything of this, cut off by  failed

    After a 101 `body_data` has bytes that are not HTTP any more. After the last one of a line nothing more comes.
    """

    def informational(self, head: ResponseHead) -> None:
        """An interim response (RFC 9110 §15.2)."""

    def response_head(self, head: ResponseHead) -> None:
        """The head of the final response, whose body follows."""

    def complete_response(self, head: ResponseHead, body: bytes) -> None:
        """The final response with all of its body; stands for `response_head`, `body_data` and `end_of_message`."""

    def body_data(self, data: bytes) -> None:
        """A piece of the body, never empty."""

    def flush(self) -> None:
        """All that has come for now has been handed over."""

    def half_closed(self) -> bool:
        """After a 101: the backend sends no more. Whether it is still sent something; else `end_of_message` follows."""

    def end_of_message(self) -> None:
        """The body has ended, or the tunnel."""

    def failed(self, error: BackendError) -> None:
        """The response broke off, or never came."""

    def drained(self) -> None:
        """What was written has gone far enough for more."""
