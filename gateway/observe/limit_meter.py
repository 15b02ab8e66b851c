"""Counts the requests within each limit, and those over it. Never by identity: that would be a label from a client."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.observe.families import LIMIT_REQUESTS
from gateway.observe.snapshots import Snapshot
from gateway.proxy.limiter import LimitTally


class LimitMeter:
    """Keeps the tallies of one process. Those of a limit that is gone stay, as counters do."""

    def __init__(self) -> None:
        self._tallies: dict[str, LimitTally] = {}

    def tally(self, limit: str) -> LimitTally:
        """The one of this limit, which lives as long as the process."""
        return self._tallies.setdefault(limit, LimitTally())

    def configured(self, limits: Iterable[str]) -> None:
        """Begin the series of these limits at 0."""
        for limit in limits:
            self.tally(limit)

    def snapshot(self) -> Snapshot:
        return {
            "counters": {
                LIMIT_REQUESTS.name: [
                    [[limit, outcome], count]
                    for limit, tally in self._tallies.items()
                    for outcome, count in (("allowed", tally.allowed), ("refused", tally.refused))
                ]
            }
        }
