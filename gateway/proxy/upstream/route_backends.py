"""The backends of one route in one worker: which one is asked next, and what came of it.

How this works:

- `first` chooses the backend of a request. For the only backend of a route that is an index and nothing else.
- `order` gives the backends in which the request may go on: usable ones first, then the rest.
- `QuietBackends` has those passed over that have answered none of the requests sent last. A backend that is chosen by
  `hash` keeps its callers: to move them because answers take long would cost them what the backend knows of them.
- Each `BackendState` tells of failures and of answers that end a row of them. `Ejection` decides what follows.
- Health questions reach `health_found`. One worker of the instance asks them, and tells the others.
- One line of the log says when a backend begins to fail, and one when it answers again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from math import inf
from time import monotonic

from gateway.compiled import CompiledRoute
from gateway.decision import Allow
from gateway.proxy.upstream.backend_error import BackendError
from gateway.proxy.upstream.backend_state import BackendState, BackendTally
from gateway.proxy.upstream.balance import SmoothTurns, by_score, least_busy
from gateway.proxy.upstream.ejection import Ejection
from gateway.proxy.upstream.hash_value import hash_value
from gateway.proxy.upstream.quiet_backends import QuietBackends

_logger = logging.getLogger(__name__)

TallyOf = Callable[[str, str], BackendTally]


class RouteBackends:
    """Lives as long as the route says the same of its backends, over reloads."""

    def __init__(self, route: CompiledRoute, tally_of: TallyOf) -> None:
        config = route.config
        self.name = route.name
        self.settings = (config.backend, config.balance, config.health, config.outliers)
        self.states = tuple(
            BackendState(place, backend, tally_of(route.name, backend.label), self)
            for place, backend in enumerate(route.backends)
        )
        self.health_settings = config.health
        self._is_only = len(self.states) == 1
        self._weights = tuple(one.weight for one in config.backend)
        self._turns = SmoothTurns(self._weights)
        self._turn = 0
        self._by = config.balance.by
        self._key = config.balance.key
        self._names = tuple(str(state.backend).encode() for state in self.states)
        outliers = config.outliers
        self._ejection = (
            Ejection(len(self.states))
            if outliers is None
            else Ejection(len(self.states), outliers.failures, outliers.eject, outliers.max_ejected)
        )
        self._quiet = QuietBackends(
            self.states, self._weights, 0.0 if outliers is None else outliers.eject, self._ejection.ejected_max
        )

    def first(self, allow: Allow) -> BackendState:
        """The one that a request goes to."""
        if self._is_only:
            return self.states[0]
        place = self._choose(allow)
        state = self.states[place]
        state.unheard += 1
        if self._quiet.is_full(place):
            self._quiet.chosen(place, monotonic())
        return state

    def order(self, first: BackendState, allow: Allow) -> Sequence[int]:
        """The places from `first` on in which a request that failed may go on: each once."""
        if self._is_only:
            return (0,)
        ejection = self._ejection
        usable = self._heard(ejection.usable)
        quiet = () if usable is ejection.usable else tuple(one for one in ejection.usable if one not in usable)
        rest = (*self._preferred(allow, usable, first.place), *quiet, *ejection.others)
        return (first.place, *(place for place in rest if place != first.place))

    def settle(self) -> None:
        """Have the gauges show these backends, which are in force now."""
        for state in self.states:
            self._show(state.place)

    def row_ended(self, place: int) -> None:
        if self._ejection.answered(place):
            self._show(place)
            self._tell(place, "answers again", "answers again", is_up=True)

    def failed(self, place: int, error: BackendError) -> None:
        if self._ejection.failed(place, monotonic()):
            self._show(place)
            self._tell(place, f"fails, {self._ejection.failures} times in a row: {error}", str(error), is_up=False)

    def health_found(self, place: int, *, is_well: bool, why: str | None = None) -> None:
        """Take over what the health questions say. `why` is told to the log; other workers have none."""
        if self._ejection.found(place, is_well=is_well):
            self._show(place)
            if why is not None:
                self._tell(place, why if is_well else f"is not well: {why}", why, is_up=is_well)

    def health(self) -> list[bool]:
        """What the health questions have said of each."""
        return [self._ejection.is_well(state.place) for state in self.states]

    def _choose(self, allow: Allow) -> int:
        ejection = self._ejection
        if ejection.changes_s != inf and ejection.changes_s <= (now_s := monotonic()):
            ejection.look(now_s)
        usable = self._heard(ejection.usable)
        if self._key is not None and len(usable) > 1 and (value := hash_value(self._key, allow)):
            place = by_score(value, self._names, self._weights, usable)[0]
        elif self._by == "least_requests":
            self._turn += 1
            place = least_busy(usable, [state.requests for state in self.states], self._weights, self._turn)
        else:
            place = self._turns.next(usable)
        if self.states[place].has_row:
            ejection.tried(place, monotonic())
        return place

    def _heard(self, usable: Sequence[int]) -> Sequence[int]:
        if not self._quiet.any or self._key is not None:
            return usable
        return self._quiet.heard(usable, monotonic())

    def _preferred(self, allow: Allow, usable: Sequence[int], first: int) -> list[int]:
        if self._key is not None and (value := hash_value(self._key, allow)):
            return by_score(value, self._names, self._weights, usable)
        return [place for place in usable if place >= first] + [place for place in usable if place < first]

    def _show(self, place: int) -> None:
        self.states[place].tally.is_up = self._ejection.is_up(place)

    def _tell(self, place: int, what: str, reason: str, *, is_up: bool) -> None:
        label = self.states[place].label
        _logger.log(
            logging.INFO if is_up else logging.WARNING,
            "backend %s of route %s %s",
            label,
            self.name,
            what,
            extra={
                "event": "backend_answers" if is_up else "backend_failing",
                "fields": {"route": self.name, "backend": label, "reason": reason},
            },
        )


def route_backends(
    routes: Sequence[CompiledRoute], tally_of: TallyOf, before: Mapping[str, RouteBackends]
) -> dict[str, RouteBackends]:
    """Those of each route by its name; of `before` what a route still says the same of."""
    found: dict[str, RouteBackends] = {}
    for route in routes:
        config = route.config
        known = before.get(route.name)
        is_same = known is not None and known.settings == (
            config.backend,
            config.balance,
            config.health,
            config.outliers,
        )
        found[route.name] = known if known is not None and is_same else RouteBackends(route, tally_of)
    return found
