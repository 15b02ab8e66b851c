"""A deadline for another process's reply that does not blame that process for a late event loop.

A loop that comes late, because there is much to do or the machine is shared, finds the timer due and the reply waiting
in the socket, and runs the timer first. Giving up then would punish Redis for our own lateness: Redis would get no
calls for a moment, and everything would go to the provider. So a late loop looks at the sockets again before it gives
up. It waits for as much longer as it was late, because its own command may have gone out late too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# Turns of the loop: one reads the socket, one wakes the waiter, one lets the waiter's own waiters run.
_LOOKS = 3


class Deadline:
    """Calls `expired` when `timeout_s` of a loop that is on time have passed, unless it is cancelled before.

    That is `timeout_s` on an idle machine, and never more than twice as much but for the loop's own turns.
    """

    __slots__ = ("_due_s", "_expired", "_loop", "_timeout_s", "_timer")

    def __init__(self, timeout_s: float, expired: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._expired = expired
        self._timeout_s = timeout_s
        self._due_s = self._loop.time() + timeout_s
        self._timer: asyncio.Handle = self._loop.call_at(self._due_s, self._due)

    def cancel(self) -> None:
        self._timer.cancel()
        self._expired = _nobody  # it may refer to what has this deadline

    def _due(self) -> None:
        late_s = min(self._loop.time() - self._due_s, self._timeout_s)
        self._timer = self._loop.call_later(max(0.0, late_s), self._look, _LOOKS)

    def _look(self, left: int) -> None:
        if left:
            self._timer = self._loop.call_soon(self._look, left - 1)
        else:
            self._expired()


def _nobody() -> None:
    """Is called instead of whoever does not wait any more."""
