"""How many workers share a limit, and what part of it one of them has without asking the fleet. Pure."""

from __future__ import annotations

from typing import Final

# The part of a limit that one worker may let in without the fleet's knowledge; all together a tenth.
_CREDIT_PART: Final = 100
_CREDIT_OF_ALL: Final = 10
# How often a fleet without its Redis may let a limit in, all workers together; but no worker's share is less than this
# part of what it has as the worker of one instance, because a caller may stay with its connection.
_ALONE_TIMES: Final = 2
_ALONE_LEAST_PART: Final = 4


class FleetSize:
    """Knows how many workers share the fleet's buckets, or shared them before Redis went away.

    One of them gives credit for one `part` of the limit.
    """

    __slots__ = ("_alone_among", "part")

    def __init__(self) -> None:
        self.part = _CREDIT_PART
        self._alone_among = 1.0

    def learned(self, workers: int) -> None:
        self.part = max(_CREDIT_PART, _CREDIT_OF_ALL * workers)
        self._alone_among = workers / _ALONE_TIMES

    def alone_among(self, instance_workers: int) -> float:
        """Among how many the limit is shared while Redis is away: the instance's workers, or half of the fleet's."""
        own = float(instance_workers)
        return max(own, min(_ALONE_LEAST_PART * own, self._alone_among))
