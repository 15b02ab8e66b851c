"""When to leave a provider alone: a circuit breaker, as a state machine without a clock of its own.

*Closed*, every call may go. It opens when so many calls in a row have failed, when too large a part of the calls
within a sliding window has, or when the provider says itself how long it wants to be left alone (RFC 9110 §10.2.3).
*Open*, no call may go. When its time is over one call may, as a probe: *half open*. The probe's success closes it,
its failure opens it again. At no time is more than one probe under way, and two begin at least an interval apart.

Times are seconds on a monotonic clock, passed in, and never go back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "half_open", "open"]

# What a provider asks for is honoured, but a slip of it ("tomorrow") must not lock everybody out for a day.
HOLD_MAX_S = 60.0
# The window slides by this part of itself.
_SLOTS = 10


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Opens after `failures` in a row, or at `failure_rate` of at least `minimum_calls` within `window_s`."""

    failures: int
    failure_rate: float
    window_s: float
    minimum_calls: int
    interval_s: float


@dataclass(frozen=True, slots=True)
class Permit:
    """One call may go; its outcome is to be told, once. `era` tells calls of an earlier state from present ones."""

    era: int
    is_probe: bool


@dataclass(frozen=True, slots=True)
class LeaveAlone:
    """No call may go; it is worth asking again in `wait_s`, which is more than 0."""

    wait_s: float


class Breaker:
    """`on_change` is told of each change of `state`, at once."""

    def __init__(self, thresholds: Thresholds, on_change: Callable[[State], object] = lambda _: None) -> None:
        self._thresholds = thresholds
        self._on_change = on_change
        self._tally = _Tally(thresholds.window_s / _SLOTS)
        self._state: State = "closed"
        self._era = 0
        self._in_a_row = 0
        self._until_s = 0.0  # no probe before
        self._is_probing = False

    @property
    def state(self) -> State:
        return self._state

    def blocks(self, now_s: float) -> LeaveAlone | None:
        """Why no call may go now, without taking the turn of one that may."""
        if self._state == "closed" or (now_s >= self._until_s and not self._is_probing):
            return None
        if now_s < self._until_s:
            return LeaveAlone(self._until_s - now_s)
        # The outcome of the probe that is under way decides, and may come at any time.
        return LeaveAlone(min(1.0, self._thresholds.interval_s))

    def ask(self, now_s: float) -> Permit | LeaveAlone:
        """Leave for one call, to be made now."""
        if blocked := self.blocks(now_s):
            return blocked
        if self._state == "closed":
            return Permit(self._era, is_probe=False)
        self._is_probing = True
        self._until_s = now_s + self._thresholds.interval_s
        self._change("half_open")
        return Permit(self._era, is_probe=True)

    def succeeded(self, permit: Permit, now_s: float) -> None:
        """The provider answered the call soundly, whatever it said."""
        if permit.era != self._era:
            return  # begun before things went wrong, or before they went right again
        if permit.is_probe:
            self._close()
        else:
            self._in_a_row = 0
            self._tally.add(now_s, is_failure=False)

    def failed(self, permit: Permit, now_s: float, retry_after_s: float | None = None) -> None:
        """The call came to nothing; `retry_after_s` is what the provider said to it."""
        hold_s = min(retry_after_s or 0.0, HOLD_MAX_S)
        if permit.era != self._era:
            if self._state != "closed":
                self._until_s = max(self._until_s, now_s + hold_s)
            return
        if not permit.is_probe:
            self._in_a_row += 1
            self._tally.add(now_s, is_failure=True)
        has_failed_enough = permit.is_probe or self._has_failed_enough(now_s)
        if has_failed_enough or hold_s > 0:
            pause_s = max(self._thresholds.interval_s, hold_s) if has_failed_enough else hold_s
            self._until_s = max(self._until_s, now_s + pause_s)
            self._is_probing = False
            self._change("open")

    def abandoned(self, permit: Permit) -> None:
        """Nobody waited for the outcome: it says nothing. The next probe comes an interval after this one began."""
        if permit.era == self._era and permit.is_probe:
            self._is_probing = False
            self._change("open")

    def _has_failed_enough(self, now_s: float) -> bool:
        if self._in_a_row >= self._thresholds.failures:
            return True
        calls, failures = self._tally.counts(now_s)
        return calls >= self._thresholds.minimum_calls and failures >= self._thresholds.failure_rate * calls

    def _close(self) -> None:
        self._in_a_row = 0
        self._tally.clear()
        self._is_probing = False
        self._change("closed")

    def _change(self, state: State) -> None:
        self._state = state
        self._era += 1
        self._on_change(state)


class _Tally:
    """Calls and failures within the last `_SLOTS` slots."""

    def __init__(self, slot_s: float) -> None:
        self._slot_s = slot_s
        self._slots: deque[list[int]] = deque()  # number of the slot, calls, failures

    def add(self, now_s: float, *, is_failure: bool) -> None:
        number = int(now_s // self._slot_s)
        if not self._slots or self._slots[-1][0] != number:
            self._slots.append([number, 0, 0])
        self._slots[-1][1] += 1
        self._slots[-1][2] += is_failure
        self._forget(number)

    def counts(self, now_s: float) -> tuple[int, int]:
        self._forget(int(now_s // self._slot_s))
        return sum(slot[1] for slot in self._slots), sum(slot[2] for slot in self._slots)

    def clear(self) -> None:
        self._slots.clear()

    def _forget(self, number: int) -> None:
        while self._slots and self._slots[0][0] <= number - _SLOTS:
            self._slots.popleft()
