"""Whose doing a failed call may be: the provider's, or that of the token which was asked about and of who sent it.

A web application firewall before the provider answers 403 to a token that looks like an attack, a defect answers 500 to
one, a limit answers 429 to one address's. Such a failure makes the provider suspect; when it then answers a question of
the gateway's own, those who were suspect with it are to blame. From then on their failures count for nothing, for a
while or until one of their questions is answered. Each is a token together with the client network it came from.

Pure: times are seconds on a monotonic clock, passed in. Bounded: the oldest are forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

_REMEMBERED_MAX = 1_000
# A token that one defect is about for ever costs a probe a minute; one that shared an outage soon counts again.
_BLAMED_S = 60.0
_V = TypeVar("_V")


class Suspects:
    """`vouched_s` is for how long the provider's answer to the gateway's own question clears it."""

    def __init__(self, vouched_s: float) -> None:
        self._vouched_s = vouched_s
        self._vouched_until_s = float("-inf")
        self._suspects: OrderedDict[int, None] = OrderedDict()  # since the last sound answer
        self._blamed_until_s: OrderedDict[int, float] = OrderedDict()

    def failed(self, who: int, now_s: float, *, is_nonsense: bool) -> bool:
        """Whether it counts against the provider. Nonsense about the same token says nothing new a second time."""
        if self._is_blamed(who, now_s):
            return False
        is_known = who in self._suspects
        _remember(self._suspects, who, None)
        return not (is_known and is_nonsense)

    def answered(self, who: int) -> None:
        """A question of theirs was answered soundly."""
        self._suspects.clear()
        self._blamed_until_s.pop(who, None)

    def acquit_provider(self, now_s: float) -> None:
        self._vouched_until_s = now_s + self._vouched_s
        for who in self._suspects:
            _remember(self._blamed_until_s, who, now_s + _BLAMED_S)
        self._suspects.clear()

    def are_to_blame(self, who: int, now_s: float) -> bool:
        """For a failure of theirs: because of an earlier one, or since the provider answered others a moment ago."""
        return now_s < self._vouched_until_s or self._is_blamed(who, now_s)

    def _is_blamed(self, who: int, now_s: float) -> bool:
        return now_s < self._blamed_until_s.get(who, float("-inf"))


def _remember(memory: OrderedDict[int, _V], who: int, what: _V) -> None:
    memory[who] = what
    memory.move_to_end(who)
    if len(memory) > _REMEMBERED_MAX:
        memory.popitem(last=False)
