"""Streams the body of a request to a backend, within its limit and at the client's pace. It is never held whole.

That pace has a lower bound. A body that drips holds a connection to a backend and a worker there; a byte now and then
would hold both without end. Only the time that the client takes counts, not that in which the backend does not read.

Reading starts only when a backend connection is there; that is also when `100 Continue` is sent (RFC 9110 §10.1.1),
so a client that waits for it has not sent a byte to be thrown away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum
from time import monotonic

from aiohttp import web

from gateway.http.refusal import Refusal

_AT_ONCE_BYTES = 2**16
# Before the rate counts: a client may have to think, or to fetch, before it begins.
_GRACE_S = 5.0
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BodyFault(Enum):
    """Why a body could not be read to its end; the backend's request is given up for each."""

    TOO_LARGE = "too large"
    TOO_SLOW = "too slow"
    BROKEN = "broken"


REFUSAL_OF_FAULT = {
    BodyFault.TOO_LARGE: Refusal("content_too_large", "the body is too large"),
    BodyFault.TOO_SLOW: Refusal("request_timeout", "the body did not arrive in time"),
    BodyFault.BROKEN: Refusal("invalid_request", "the body is broken"),
}


class BodyError(Exception):
    """Says that the body did not come to its end; `RequestBody.fault` says why."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How slowly a body may come: no pause of `idle_timeout_s`, and so many bytes a second on the whole; 0: any."""

    idle_timeout_s: float
    min_bytes_per_s: int = 0

    def patience_s(self, received_bytes: int, waited_s: float) -> float:
        """How long to wait for the next bytes, after so much waiting for those that are there; may be negative."""
        if not self.min_bytes_per_s:
            return self.idle_timeout_s
        return min(self.idle_timeout_s, _GRACE_S + received_bytes / self.min_bytes_per_s - waited_s)


class RequestBody:
    """Reads one request's body. `on_waiting` and `on_passed` tell the sender who must act; `held` was read before.

    `length` is what was declared, `None` for a chunked body.
    """

    def __init__(self, request: web.Request, limit_bytes: int | None, pace: Pace, held: bytes | None = None) -> None:
        self._request = request
        self._limit_bytes = limit_bytes
        self._pace = pace
        self._waited_s = 0.0  # for the client, all in all
        self._held = held
        self.exists = request.body_exists
        self.length = len(held) if held is not None else request.content_length if self.exists else 0
        self.is_touched = False
        self.received_bytes = 0
        self.fault: BodyFault | None = None
        self.on_waiting: Callable[[], None] = _ignore
        self.on_passed: Callable[[], None] = _ignore

    def whole(self) -> bytes | None:
        """The body where it is there already, small and within its limit; empty where there is none."""
        if self._held is not None:
            self.is_touched = True
            self.received_bytes = len(self._held)
            return self._held
        if not self.exists:
            return b""
        content = self._request.content
        if self.length is None or not content.is_eof() or content.exception() is not None or self.is_touched:
            return None
        if self.length > _AT_ONCE_BYTES or (self._limit_bytes is not None and self.length > self._limit_bytes):
            return None
        self.is_touched = True
        data = content.read_nowait(-1)
        self.received_bytes = len(data)
        return data

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises `BodyError` after setting `fault`."""
        self.is_touched = True
        if expects_continue(self._request) and self._request.transport is not None:
            self._request.transport.write(_CONTINUE)
        while chunk := await self._next():
            self.received_bytes += len(chunk)
            if self._limit_bytes is not None and self.received_bytes > self._limit_bytes:
                raise self._failed(BodyFault.TOO_LARGE)
            yield chunk

    async def _next(self) -> bytes:
        self.on_waiting()
        began_s = monotonic()
        try:
            async with asyncio.timeout(self._pace.patience_s(self.received_bytes, self._waited_s)):
                return await self._request.content.readany()
        except TimeoutError:
            raise self._failed(BodyFault.TOO_SLOW) from None
        except (web.RequestPayloadError, ConnectionError) as error:
            error.__traceback__ = None  # the stream keeps the error, and this frame has the stream
            raise self._failed(BodyFault.BROKEN) from None
        finally:
            self._waited_s += monotonic() - began_s
            self.on_passed()

    def _failed(self, fault: BodyFault) -> BodyError:
        self.fault = fault
        return BodyError(fault.value)


def expects_continue(request: web.Request) -> bool:
    """An HTTP/1.0 client knows no interim responses (RFC 9110 §10.1.1)."""
    return request.version >= (1, 1) and request.headers.get("Expect", "").lower() == "100-continue"


def _ignore() -> None:
    """Do nothing, where nobody needs to be told."""
