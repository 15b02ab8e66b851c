"""Counts what comes of the requests to each backend of each route, and shows which backends are up."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.config.route_model import Route
from gateway.observe.families import BACKEND_REQUESTS, BACKEND_UP
from gateway.observe.snapshots import Snapshot
from gateway.proxy.upstream.backend_state import OUTCOMES, BackendTally

# Five lines each; beyond this many, only what has been asked is shown.
_DECLARED_MAX = 400


class BackendMeter:
    """Keeps the tallies of one process."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str], BackendTally] = {}

    def tally(self, route: str, backend: str) -> BackendTally:
        """The one of this route and backend, which lives as long as the process."""
        found = self._tallies.get((route, backend))
        if found is None:
            found = self._tallies[route, backend] = BackendTally()
        return found

    def configured(self, routes: Iterable[Route]) -> None:
        """Show no longer whether a backend is up that no route has: it would raise an alarm for ever."""
        known = {(route.name, one.url.label) for route in routes for one in route.backend}
        for key, tally in self._tallies.items():
            if key not in known:
                tally.is_up = None

    def snapshot(self) -> Snapshot:
        return {"counters": {BACKEND_REQUESTS.name: self._counts()}, "least": {BACKEND_UP.name: self._up()}}

    def _counts(self) -> list[list[object]]:
        is_complete = len(self._tallies) <= _DECLARED_MAX
        return [
            [[*key, outcome], count]
            for key, tally in self._tallies.items()
            for outcome, count in zip(OUTCOMES, tally.counts(), strict=True)
            if is_complete or any(tally.counts())
        ]

    def _up(self) -> list[list[object]]:
        return [[[*key], int(tally.is_up)] for key, tally in self._tallies.items() if tally.is_up is not None]
