"""Decides whether a failed call is the provider's doing, or the doing of the token and of its sender.

A web application firewall before the provider answers 403 to a token that looks like an attack. A defect answers 500 to
one token, a limit answers 429 to one address. Such a failure makes the provider suspect, and the sender with it. When
the provider then answers the probe, it is cleared and these suspects are blamed. From then on their failures do not
count, for a while or until one of their calls succeeds. A suspect is a token together with its client network.

Pure: times are seconds on a monotonic clock, passed in. Bounded: the oldest are forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

_REMEMBERED_MAX = 1_000
# A token that always hits a defect costs a probe a minute. A token that only shared an outage soon counts again.
_BLAMED_S = 60.0
_V = TypeVar("_V")


class Suspects:
    """Remembers suspects and the blamed. A probe that succeeds clears the provider for `cleared_s`."""

    def __init__(self, cleared_s: float) -> None:
        self._cleared_s = cleared_s
        self._cleared_until_s = float("-inf")
        self._suspects: OrderedDict[int, None] = OrderedDict()  # since the last call that succeeded
        self._blamed_until_s: OrderedDict[int, float] = OrderedDict()

    def failed(self, suspect: int, now_s: float, *, is_nonsense: bool) -> bool:
        """Whether the failure counts against the provider. Nonsense about one suspect counts only once."""
        if self._is_blamed(suspect, now_s):
            return False
        is_known = suspect in self._suspects
        _remember(self._suspects, suspect, None)
        return not (is_known and is_nonsense)

    def succeeded(self, suspect: int) -> None:
        """A call of `suspect` succeeded."""
        self._suspects.clear()
        self._blamed_until_s.pop(suspect, None)

    def clear_provider(self, now_s: float) -> None:
        self._cleared_until_s = now_s + self._cleared_s
        for suspect in self._suspects:
            _remember(self._blamed_until_s, suspect, now_s + _BLAMED_S)
        self._suspects.clear()

    def is_to_blame(self, suspect: int, now_s: float) -> bool:
        """Whether a failure is the doing of `suspect`: it was blamed before, or a probe has just succeeded."""
        return now_s < self._cleared_until_s or self._is_blamed(suspect, now_s)

    def _is_blamed(self, suspect: int, now_s: float) -> bool:
        return now_s < self._blamed_until_s.get(suspect, float("-inf"))


def _remember(memory: OrderedDict[int, _V], suspect: int, what: _V) -> None:
    memory[suspect] = what
    memory.move_to_end(suspect)
    if len(memory) > _REMEMBERED_MAX:
        memory.popitem(last=False)
