"""A circuit breaker: decides when a provider gets no calls. A state machine without a clock of its own.

    closed ──a probe failed──> open ──its time is over, a probe begins──> half open
      ^                          ^──────────the probe failed, or was abandoned───┤
      └─────────────────────────────────────the probe succeeded──────────────────┘

- *Closed*: every call may go. In the other states none may.
- Failed calls never open the breaker: a token, or the network that sent it, may be the cause. They only make the
  provider *suspect*: so many failures in a row, too large a part of the calls within a sliding window, or one failure
  that asks for a pause.
- A suspect provider gets a *probe*, an introspection of the gateway's own. Only a probe that fails opens the breaker,
  for an interval, or for the time that the provider asked of the probe (RFC 9110 §10.2.3).
- After that time another probe decides whether it closes.
- At most one probe is under way, and two begin at least an interval apart.
- The caller reports the outcome of each call and each probe, once. Nothing here waits.

Times are seconds on a monotonic clock, passed in, and never go back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

State = Literal["closed", "half_open", "open"]
STATES: Final[tuple[State, ...]] = ("closed", "half_open", "open")  # the worst last

# The gateway honours a provider's Retry-After, but a slip of it ("tomorrow") must not lock everybody out for a day.
HOLD_MAX_S = 60.0
# The window slides by this part of itself.
_SLOTS = 10


@dataclass(frozen=True, slots=True)
class Thresholds:
    """A provider is suspect after `failures` in a row, or at `failure_rate` of at least `minimum_calls` per window."""

    failures: int
    failure_rate: float
    window_s: float
    minimum_calls: int
    interval_s: float


@dataclass(frozen=True, slots=True)
class Permit:
    """Allows one call, whose outcome is to be reported once. `era` tells earlier states from the current one."""

    era: int


@dataclass(frozen=True, slots=True)
class BreakerOpen:
    """No call may go. Try again in `wait_s`, which is more than 0."""

    wait_s: float


class Breaker:
    """Decides whether calls may go. Calls `on_change` at each change of `state`, at once, with the reason in words."""

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
        """Why no call may go now. `None` also when the breaker is open and a probe is due, which then decides."""
        if self._state == "closed" or self.wants_probe(now_s):
            return None
        return self._blocked(now_s)

    def request_permit(self, now_s: float) -> Permit | BreakerOpen:
        """Permission for one call, to be made now."""
        return Permit(self._era) if self._state == "closed" else self._blocked(now_s)

    def succeeded(self, permit: Permit, now_s: float) -> None:
        """The call succeeded: the response can be relied on, whatever it says."""
        if permit.era == self._era and self._state == "closed":
            self._in_a_row = 0
            self._is_suspect = False
            self._tally.add(now_s, is_failure=False)

    def failed(self, permit: Permit, now_s: float, *, makes_suspect: bool = False) -> None:
        """The call failed. With `makes_suspect` the provider is suspect at once."""
        if permit.era != self._era or self._state != "closed":
            return  # the call began in an earlier state
        self._in_a_row += 1
        self._tally.add(now_s, is_failure=True)
        self._is_suspect = self._is_suspect or makes_suspect or self._has_failed_enough(now_s)

    def wants_probe(self, now_s: float) -> bool:
        is_wanted = self._is_suspect if self._state == "closed" else self._state == "open"
        return is_wanted and not self._is_probing and now_s >= self._probe_from_s

    def begin_probe(self, now_s: float) -> None:
        """The probe goes out now. The caller reports its outcome by one of the three below, once."""
        self._is_probing = True
        self._probe_from_s = now_s + self._thresholds.interval_s
        if self._state == "open":
            self._change("half_open", "its time is over")

    def probe_succeeded(self) -> None:
        """The probe succeeded: the failures were not the provider's."""
        self._is_probing = False
        self._forget_failures()
        if self._state != "closed":
            self._change("closed", "it answers again")

    def probe_failed(self, now_s: float, reason: str, retry_after_s: float | None = None) -> None:
        """The probe failed; `retry_after_s` is what the provider asked for."""
        self._is_probing = False
        self._forget_failures()
        hold_s = min(retry_after_s or 0.0, HOLD_MAX_S)
        self._probe_from_s = now_s + max(self._thresholds.interval_s, hold_s)
        self._change("open", reason)

    def probe_abandoned(self) -> None:
        """The probe was cancelled and says nothing. The next one comes an interval after this one began."""
        self._is_probing = False
        if self._state == "half_open":
            self._change("open", "its probe was given up")

    def _blocked(self, now_s: float) -> BreakerOpen:
        if self._state == "open" and now_s < self._probe_from_s:
            return BreakerOpen(self._probe_from_s - now_s)
        # The probe that is under way decides, and may end at any time.
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
    """Counts calls and failures within the last `_SLOTS` slots."""

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
