"""One timer for the deadlines of all connections: a timer for each would cost every request two heap operations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from gateway.config.model import Config

# A deadline is kept to within a tenth of the shortest one that is configured, and never worse than a second.
_SHARE = 10
_PERIOD_MAX_S = 1.0
_PERIOD_MIN_S = 0.02


class Sweep:
    """Calls each of `tasks` with the loop's time, over and over, from now until `stop`."""

    def __init__(self, tasks: Sequence[Callable[[float], None]], config: Config) -> None:
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._period_s = _period_s(config)
        self._timer = self._loop.call_later(self._period_s, self._run)

    def adjust(self, config: Config) -> None:
        """Go by the deadlines of another configuration."""
        self._timer.cancel()
        self._period_s = _period_s(config)
        self._timer = self._loop.call_later(self._period_s, self._run)

    def stop(self) -> None:
        self._timer.cancel()

    def _run(self) -> None:
        self._timer = self._loop.call_later(self._period_s, self._run)
        now_s = self._loop.time()
        for task in self._tasks:
            task(now_s)


def _period_s(config: Config) -> float:
    deadlines = [config.server.idle_timeout, config.server.header_timeout]
    for route in config.routes:
        deadlines += [route.timeout, route.read_timeout, route.connection_max_age]
    return min(_PERIOD_MAX_S, max(_PERIOD_MIN_S, min(deadlines) / _SHARE))
