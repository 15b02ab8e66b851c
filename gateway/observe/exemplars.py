"""The last traced request in each bucket of a route's durations: the way from a slow quantile to a trace.

OpenMetrics shows them as exemplars. Only sampled requests are noted, so that their spans are found.
"""

from __future__ import annotations

from bisect import bisect_left

from gateway.observe.families import BOUNDS_S, REQUEST_DURATION
from gateway.observe.snapshots import Snapshot


class Exemplars:
    """At most one for each route and bucket."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, int], tuple[str, float, float]] = {}

    def note(self, route: str, duration_s: float, trace_id: str, at: float) -> None:
        """A request to `route` that took `duration_s` ended at the Unix time `at`."""
        self._last[route, bisect_left(BOUNDS_S, duration_s)] = (trace_id, duration_s, at)

    def snapshot(self) -> Snapshot:
        return {
            "exemplars": {
                REQUEST_DURATION.name: [[[route], bucket, *last] for (route, bucket), last in self._last.items()]
            }
        }
