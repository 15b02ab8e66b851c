"""Whose turn it is among the backends of a route."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from gateway.compiled import CompiledRoute


@dataclass(slots=True)
class RoundRobin:
    """Round robin over each route's backends; per worker, and anew with each configuration."""

    _turns: dict[str, count[int]] = field(default_factory=dict)

    def turn(self, route: CompiledRoute) -> int:
        """The place among the route's backends of the one to ask first."""
        backends = len(route.config.backend)
        if backends == 1:
            return 0
        return next(self._turns.setdefault(route.name, count())) % backends
