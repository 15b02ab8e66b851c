"""Which backend of a route is asked next, after one that failed.

What was never sent may go elsewhere: a connection that was not made costs nothing but time, and is followed by the
next backend of the list, whatever the method. What was sent is sent again only where that changes nothing (RFC 9110
§9.2.2), as often as `retries` says, and only when no byte of a response came. The route's `timeout` ends all of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.proxy.upstream.backend_error import BackendError, BackendUnreachableError, NotConnectedError


class Attempts:
    """Of one request; `place` is that of the backend that is asked. `ends_s` is on the caller's clock.

    `order` has each backend once, the first that is asked first. `retries` is 0 where the method is not idempotent.
    """

    __slots__ = ("_at", "_ends_s", "_not_connected", "_order", "_retries", "_words", "place")

    def __init__(self, order: Sequence[int], retries: int, ends_s: float) -> None:
        self.place = order[0]
        self._order = order
        self._at = 0
        self._retries = retries
        self._ends_s = ends_s
        self._not_connected: set[int] = set()
        self._words: list[str] = []

    def left_s(self, now_s: float) -> float:
        """How long the next attempt may take."""
        return self._ends_s - now_s

    def go_on(self, error: BackendError, now_s: float, *, is_repeatable: bool) -> bool:
        """Whether another attempt is due after this error; `place` is then the one to ask.

        `is_repeatable`: all that was sent is still there to be sent again.
        """
        if isinstance(error, NotConnectedError):
            self._not_connected.add(self.place)
            self._words.append(str(error))
        elif isinstance(error, BackendUnreachableError) and is_repeatable and self._retries > 0:
            self._retries -= 1
        else:
            return False
        if now_s >= self._ends_s:
            return False
        order = self._order
        for step in range(1, len(order) + 1):
            at = (self._at + step) % len(order)
            if order[at] not in self._not_connected:
                self._at, self.place = at, order[at]
                return True
        return False

    def told(self, last: BackendError) -> BackendError:
        """The error to tell of: where several backends could not be connected to, it names each."""
        if isinstance(last, NotConnectedError) and len(self._words) > 1:
            return NotConnectedError("; ".join(dict.fromkeys(self._words)), is_late=last.is_late)
        return last
