"""What a worker knows of one backend of one route: what came of its requests, and how many are under way."""

from __future__ import annotations

from typing import Final, Protocol

from gateway.http.backend import Backend
from gateway.proxy.upstream.backend_error import BackendError, BackendTimeoutError, NotConnectedError

OUTCOMES: Final = ("answered", "connect_failed", "reset", "timeout", "client_left")


class BackendTally:
    """Counts for one route and backend. It outlives reloads, so that no count goes down.

    `is_up` is `None` where no configuration in force has this backend.
    """

    __slots__ = ("answered", "client_left", "connect_failed", "is_up", "reset", "timeout")

    def __init__(self) -> None:
        self.answered = 0
        self.connect_failed = 0
        self.reset = 0
        self.timeout = 0
        self.client_left = 0
        self.is_up: bool | None = None

    def counts(self) -> tuple[int, int, int, int, int]:
        """In the order of `OUTCOMES`."""
        return self.answered, self.connect_failed, self.reset, self.timeout, self.client_left


class BackendWatch(Protocol):
    """Who is told of rows of failures: the backends of the route."""

    def row_ended(self, place: int) -> None: ...

    def failed(self, place: int, error: BackendError) -> None: ...


class BackendState:
    """One backend of a route. What comes of each request for which it was chosen is told by one of the methods."""

    __slots__ = ("backend", "has_row", "label", "place", "requests", "tally", "unheard", "watch")

    def __init__(self, place: int, backend: Backend, tally: BackendTally, watch: BackendWatch) -> None:
        self.place = place
        self.backend = backend
        self.label = backend.label
        self.tally = tally
        self.watch = watch
        self.requests = 0  # under way
        self.unheard = 0  # of the requests for which it was chosen after its last answer, those that have not ended
        self.has_row = False  # of failures

    def answered(self) -> None:
        """The head of an answer has come, whatever its status."""
        self.tally.answered += 1
        self.unheard = 0
        if self.has_row:
            self.has_row = False
            self.watch.row_ended(self.place)

    def failed(self, error: BackendError) -> None:
        """No answer was passed on."""
        if error.is_of_gateway:
            self.answered()
            return
        tally = self.tally
        if isinstance(error, NotConnectedError):
            tally.connect_failed += 1
        elif isinstance(error, BackendTimeoutError):
            tally.timeout += 1
        else:
            tally.reset += 1
        self.has_row = True
        self._is_over()
        self.watch.failed(self.place, error)

    def left(self) -> None:
        """The client did not wait for the answer, so nobody knows what it would have been."""
        self.tally.client_left += 1
        self._is_over()

    def awaits_body(self) -> None:
        """A client is still sending the request. The backend owes no answer before that, and is not to pay for it."""
        self._is_over()

    def _is_over(self) -> None:
        if self.unheard:
            self.unheard -= 1
