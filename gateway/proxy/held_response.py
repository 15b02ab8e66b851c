"""Holds a response back between its backend and the relay, until something else is done.

After the head the backend is paused, and the bytes behind the head are held: no more than one read brings. Then all of
the response goes on in its order, or none of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.http.refusal import Refusal
from gateway.http.response_head import ResponseHead
from gateway.proxy.refusing import FAILED
from gateway.proxy.upstream.backend_error import BackendError
from gateway.proxy.upstream.backend_request import BackendRequest, Waits
from gateway.proxy.upstream.connection import BackendConnection
from gateway.proxy.upstream.response_sink import ResponseSink

_logger = logging.getLogger(__name__)


class HeldBackError(BackendError):
    """The response was not passed on; `refusal` takes its place."""

    is_of_gateway = True

    def __init__(self, refusal: Refusal) -> None:
        super().__init__("the answer was withheld")
        self.refusal = refusal


class HeldResponse:
    """For one exchange: to its relay the backend's connection, to that connection the `ResponseSink`.

    `may_pass` is awaited with the status of the final response; a refusal that it returns is sent in its place. It is
    cancelled when the client leaves.
    """

    def __init__(
        self, backend: BackendConnection, may_pass: Callable[[int], Coroutine[Any, Any, Refusal | None]]
    ) -> None:
        self._backend: BackendConnection | None = backend
        self._may_pass = may_pass
        self._sink: ResponseSink | None = None
        self._held: list[Callable[[ResponseSink], None]] = []
        self._asking: asyncio.Task[Refusal | None] | None = None
        self._is_held = False
        self._is_slow = False  # the client takes no more for now

    @property
    def has_come(self) -> bool:
        """Whether the response's status was seen."""
        return self._asking is not None

    # What the relay does with it.

    def send(
        self, sink: ResponseSink, request: BackendRequest, fields: bytes, body: bytes | None, limits: Waits
    ) -> None:
        self._sink = sink
        assert self._backend is not None  # nothing has been sent before
        self._backend.send(self, request, fields, body, limits)

    def pause(self) -> None:
        self._is_slow = True
        if self._backend is not None:
            self._backend.pause()

    def resume(self) -> None:
        self._is_slow = False
        if self._backend is not None and not self._is_held:
            self._backend.resume()

    def abandon(self) -> None:
        backend = self._left()
        if backend is not None:
            backend.abandon()

    def end(self) -> None:
        backend = self._left()
        if backend is not None:
            backend.end()

    # What the backend's connection says.

    def informational(self, head: ResponseHead) -> None:
        self._pass_on(lambda sink: sink.informational(head))

    def response_head(self, head: ResponseHead) -> None:
        self._hold(head, lambda sink: sink.response_head(head))

    def complete_response(self, head: ResponseHead, body: bytes) -> None:
        self._backend = None  # it is the pool's again
        self._hold(head, lambda sink: sink.complete_response(head, body))

    def body_data(self, data: bytes) -> None:
        self._pass_on(lambda sink: sink.body_data(data))

    def flush(self) -> None:
        self._pass_on(lambda sink: sink.flush())
        if self._is_held and self._backend is not None:
            # Not sooner: a connection whose answer is whole by now is the pool's again, and has to be read.
            self._backend.pause()

    def half_closed(self) -> bool:
        return not self._is_held and self._sink is not None and self._sink.half_closed()

    def end_of_message(self) -> None:
        self._backend = None
        self._pass_on(lambda sink: sink.end_of_message())

    def failed(self, error: BackendError) -> None:
        self._backend = None
        self._pass_on(lambda sink: sink.failed(error))

    def drained(self) -> None:
        if self._sink is not None:
            self._sink.drained()

    def _hold(self, head: ResponseHead, event: Callable[[ResponseSink], None]) -> None:
        self._is_held = True
        self._pass_on(event)
        self._asking = asyncio.get_running_loop().create_task(self._may_pass(head.status), name="a withheld answer")
        self._asking.add_done_callback(self._asked)

    def _pass_on(self, event: Callable[[ResponseSink], None]) -> None:
        if self._is_held:
            self._held.append(event)
        elif self._sink is not None:
            event(self._sink)

    def _asked(self, asking: asyncio.Task[Refusal | None]) -> None:
        if asking.cancelled() or self._sink is None:
            return
        error = asking.exception()
        if error is not None:
            _logger.error("the gateway failed on a request", exc_info=error, extra={"event": "internal_error"})
        refusal = FAILED if error is not None else asking.result()
        if refusal is not None:
            sink = self._sink
            self.abandon()
            sink.failed(HeldBackError(refusal))
            return
        self._is_held = False
        held, self._held = self._held, []
        for event in held:
            self._pass_on(event)
        if self._backend is not None and not self._is_slow:
            self._backend.resume()

    def _left(self) -> BackendConnection | None:
        """Nobody is told anything any more."""
        backend, self._backend, self._sink = self._backend, None, None
        self._held.clear()
        if self._asking is not None:
            self._asking.cancel()
        return backend
