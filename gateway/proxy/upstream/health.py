"""The question whether a backend is well: a GET on a connection of its own, and what a row of answers means."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.http.backend import Backend
from gateway.http.response_head import ResponseHead
from gateway.proxy.upstream.backend_error import BackendError
from gateway.proxy.upstream.backend_request import NO_BODY, BackendRequest
from gateway.proxy.upstream.connection import BackendConnection
from gateway.proxy.upstream.pools import UpstreamPools

_FIELDS = b"User-Agent: gateway\r\nAccept: */*\r\nConnection: close\r\n"
_GOOD = range(200, 300)


class HealthRow:
    """Counts answers in a row. A backend counts as well until so many have said otherwise."""

    def __init__(self, healthy_after: int, unhealthy_after: int) -> None:
        self.is_well = True
        self._healthy_after = healthy_after
        self._unhealthy_after = unhealthy_after
        self._row = 0  # of answers that say otherwise

    def heard(self, *, is_good: bool) -> bool:
        """Count an answer. Returns whether that changes `is_well`."""
        if is_good == self.is_well:
            self._row = 0
            return False
        self._row += 1
        if self._row < (self._unhealthy_after if self.is_well else self._healthy_after):
            return False
        self._row = 0
        self.is_well = is_good
        return True


@dataclass(frozen=True, slots=True)
class _Waits:
    timeout: float
    read_timeout: float


class _StatusSink:
    """Takes the status of a response, and no more."""

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def informational(self, head: ResponseHead) -> None:
        pass

    def response_head(self, head: ResponseHead) -> None:
        if not self.status.done():
            self.status.set_result(head.status)

    def complete_response(self, head: ResponseHead, body: bytes) -> None:  # noqa: ARG002 - as every sink
        self.response_head(head)

    def body_data(self, data: bytes) -> None:
        pass

    def flush(self) -> None:
        pass

    def half_closed(self) -> bool:
        return False

    def end_of_message(self) -> None:
        pass

    def failed(self, error: BackendError) -> None:
        if not self.status.done():
            self.status.set_exception(error)

    def drained(self) -> None:
        pass


class _NoPool:
    """A connection that is used once belongs to nobody."""

    def released(self, connection: BackendConnection) -> None:
        connection.abandon()

    def lost(self, connection: BackendConnection) -> None:
        pass


async def what_is_wrong(pools: UpstreamPools, backend: Backend, path: str, timeout_s: float) -> str | None:
    """Ask a backend; what is wrong with it, or `None` where it is well.

    The connection is a new one: one that is open already says nothing of a backend that accepts no more.
    """
    sink, connection = _StatusSink(), None
    try:
        async with asyncio.timeout(timeout_s):
            connection = await pools.open_apart(backend, _NoPool())
            request = BackendRequest("GET", backend.authority, path, NO_BODY)
            connection.send(sink, request, _FIELDS, b"", _Waits(timeout_s, timeout_s))
            status = await sink.status
    except TimeoutError:
        return f"no answer to {path} within {timeout_s:g} s"
    except BackendError as error:
        return str(error)
    finally:
        if connection is not None:
            connection.abandon()
    return None if status in _GOOD else f"{path} is answered {status}"
