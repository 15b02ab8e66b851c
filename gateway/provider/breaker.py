"""When to leave a provider alone: a circuit breaker, as a state machine without a clock of its own.

    closed ──a probe that failed──> open ──its time is over, a probe is under way──> half open
      ^                              ^──────────────the probe failed─────────────────────┤
      └─────────────────────────────────────────────the probe was answered───────────────┘

*Closed*, every call may go; in the other states none may. Failed calls alone never open it, because what failed may be
the doing of a token, or of the network that sent it. They only make the provider suspect: so many failures in a row,
too large a part of the calls within a sliding window, or one that asks for a pause. A suspect provider is sent a
*probe*, a question of the gateway's own, and only a probe that fails opens the breaker, for an interval or for as long
as the provider said to the probe (RFC 9110 §10.2.3). After that time it takes another probe to close it.

At no time is more than one probe under way, and two begin at least an interval apart.

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
    """Suspect after `failures` in a row, or at `failure_rate` of at least `minimum_calls` within `window_s`."""

    failures: int
    failure_rate: float
    window_s: float
    minimum_calls: int
    interval_s: float


@dataclass(frozen=True, slots=True)
class Permit:
    """One call may go; its outcome may be told, once. `era` tells calls of an earlier state from present ones."""

    era: int


@dataclass(frozen=True, slots=True)
class BreakerOpen:
    """No call may go; it is worth asking again in `wait_s`, which is more than 0."""

    wait_s: float


class Breaker:
    """`on_change` is told of each change of `state`, at once, with the reason in words."""

    def __init__(self, thresholds: Thresholds, on_change: Callable[[State, str], object] = lambda *_: None) -> None:
        self._thresholds = thresholds
        self._on_change = on_change
        self._tally = _Tally(thresholds.window_s / _SLOTS)
        self._state: State = "closed"
        self._era = 0
        self._in_a_row = 0
        self._is_suspect = False
        self._is_probing = False
        self._probe_from_s = 0.0  # no probe begins before

    @property
    def state(self) -> State:
        return self._state

    def blocks(self, now_s: float) -> BreakerOpen | None:
        """Why no call may go now. `None` as well where it is open and a probe is due, which then decides."""
        if self._state == "closed" or self.wants_probe(now_s):
            return None
        return self._leave_alone(now_s)

    def ask(self, now_s: float) -> Permit | BreakerOpen:
        """Leave for one call, to be made now."""
        return Permit(self._era) if self._state == "closed" else self._leave_alone(now_s)

    def succeeded(self, permit: Permit, now_s: float) -> None:
        """The provider answered the call soundly, whatever it said."""
        if permit.era == self._era and self._state == "closed":
            self._in_a_row = 0
            self._is_suspect = False
            self._tally.add(now_s, is_failure=False)

    def failed(self, permit: Permit, now_s: float, *, is_enough: bool = False) -> None:
        """The call came to nothing. With `is_enough` that makes the provider suspect at once."""
        if permit.era != self._era or self._state != "closed":
            return  # begun before things went wrong, or before they went right again
        self._in_a_row += 1
        self._tally.add(now_s, is_failure=True)
        self._is_suspect = self._is_suspect or is_enough or self._has_failed_enough(now_s)

    def wants_probe(self, now_s: float) -> bool:
        is_wanted = self._is_suspect if self._state == "closed" else self._state == "open"
        return is_wanted and not self._is_probing and now_s >= self._probe_from_s

    def begin_probe(self, now_s: float) -> None:
        """It goes out now. One of the three below tells its outcome, once."""
        self._is_probing = True
        self._probe_from_s = now_s + self._thresholds.interval_s
        if self._state == "open":
            self._change("half_open", "its time is over")

    def acquitted(self) -> None:
        """The probe was answered soundly: whatever failed, it was not the provider."""
        self._is_probing = False
        self._forget_failures()
        if self._state != "closed":
            self._change("closed", "it answers again")

    def convicted(self, now_s: float, reason: str, retry_after_s: float | None = None) -> None:
        """The probe came to nothing; `retry_after_s` is what the provider said to it."""
        self._is_probing = False
        self._forget_failures()
        hold_s = min(retry_after_s or 0.0, HOLD_MAX_S)
        self._probe_from_s = now_s + max(self._thresholds.interval_s, hold_s)
        self._change("open", reason)

    def abandoned(self) -> None:
        """The probe was given up: it says nothing. The next one comes an interval after this one began."""
        self._is_probing = False
        if self._state == "half_open":
            self._change("open", "its probe was given up")

    def _leave_alone(self, now_s: float) -> BreakerOpen:
        if self._state == "open" and now_s < self._probe_from_s:
            return BreakerOpen(self._probe_from_s - now_s)
        # The outcome of the probe that is under way decides, and may come at any time.
        return BreakerOpen(min(1.0, self._thresholds.interval_s))

    def _has_failed_enough(self, now_s: float) -> bool:
        if self._in_a_row >= self._thresholds.failures:
            return True
        calls, failures = self._tally.counts(now_s)
        return calls >= self._thresholds.minimum_calls and failures >= self._thresholds.failure_rate * calls

    def _forget_failures(self) -> None:
        self._in_a_row = 0
        self._is_suspect = False
        self._tally.clear()

    def _change(self, state: State, reason: str) -> None:
        self._state = state
        self._era += 1
        self._on_change(state, reason)


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
