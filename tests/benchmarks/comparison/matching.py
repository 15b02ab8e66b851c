"""Route matching by the number of routes, within this process."""

from __future__ import annotations

from benchmarks import routing

ROUTES = (10, 1_000, 10_000)


def measure(rounds: int) -> dict[int, list[float]]:
    """Microseconds of each lookup, by the number of routes: one for each round."""
    tables = {routes: routing.table(routes) for routes in ROUTES}
    found: dict[int, list[float]] = {routes: [] for routes in ROUTES}
    for _ in range(rounds):
        for routes, table in tables.items():
            found[routes].append(routing.seconds(table) / routing.LOOKUPS * 1e6)
    return found
