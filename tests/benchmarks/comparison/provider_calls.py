"""How often the provider is asked: a hundred unknown tokens, ten requests of each at about the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.comparison import open_loop
from benchmarks.comparison.peer import Contestant, Kind
from benchmarks.comparison.stage import Stage

REQUESTS = 1000
EACH = 10
_CONNECTIONS = 40


@dataclass(frozen=True)
class Asked:
    """Of REQUESTS requests."""

    introspections: int
    failed: int


def measure(stage: Stage, contestants: Sequence[Contestant]) -> dict[Kind, Asked]:
    return {one.kind: _asked(stage, one) for one in contestants if one.kind.does_auth}


def _asked(stage: Stage, contestant: Contestant) -> Asked:
    def wire(number: int) -> bytes:
        # `slow`: the provider takes its time, in which the other nine come.
        return open_loop.request_bytes("/", f"slow-together-{contestant.port}-{number // EACH:020}")

    before = stage.introspections()
    outcome = open_loop.run(contestant.port, wire, REQUESTS, None, _CONNECTIONS)
    return Asked(stage.introspections() - before, outcome.failed)
