"""Gateways of one worker and of two: what a request costs them, how the work is shared out, and what they hold."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.comparison import mixed, open_loop, wrk
from benchmarks.comparison.arithmetic import Spread, quantile, ratio, spread
from benchmarks.comparison.checks import GOOD
from benchmarks.comparison.cores import Cores
from benchmarks.comparison.loads import MIXED
from benchmarks.comparison.markdown import table as markdown
from benchmarks.comparison.markdown import text
from benchmarks.comparison.peer import Contestant, Kind
from benchmarks.comparison.stage import Stage, staged
from support.processes import children

WORKERS = (1, 2)
MARKS = ("<!-- workers: begin -->", "<!-- workers: end -->")
MORE_AT_MOST = 1.1
_CONNECTIONS = 64
_ROUND_S = 3
_CLOSED_S = 2
_ROUNDS_MAX = 40
_FIRST_RUN = 700  # of the mixed load's numbers


@dataclass(frozen=True)
class Offered:
    """A round at a fixed rate. `busiest_share` is that of the worker which had most CPU, of all workers'."""

    cpu_us_per_request: float
    p99_s: float
    busiest_share: float


@dataclass(frozen=True)
class Held:
    """`asked` are the provider's introspections until every worker knew every token."""

    idle_bytes: int
    tokens_bytes: int
    tokens: int
    asked: int


@dataclass
class Found:
    """By the number of workers."""

    rate_per_s: int
    offered: dict[int, list[Offered]] = field(default_factory=dict)
    closed_per_s: dict[int, list[float]] = field(default_factory=dict)
    held: dict[int, Held] = field(default_factory=dict)

    @property
    def against(self) -> Spread:
        """Two workers' CPU per request against one worker's, in the same rounds."""
        one, two = ([each.cpu_us_per_request for each in self.offered[workers]] for workers in WORKERS)
        return ratio(two, one)

    @property
    def is_twice(self) -> bool:
        return self.against.median <= MORE_AT_MOST

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def measure(folder: Path, rate_per_s: int, rounds: int, tokens: int) -> Found:
    """Unlike in the comparison, nothing is pinned: the system spreads workers over cores, as it does for users."""
    everywhere = frozenset(os.sched_getaffinity(0))
    found = Found(rate_per_s)
    with staged(folder, Cores(everywhere, everywhere)) as stage:
        with _gateways(stage, WORKERS) as gateways:
            for contestant in gateways.values():
                _know(stage, contestant, mixed.TOKENS, partial(_wire, _FIRST_RUN * mixed.RUN_NUMBERS))
            for number in range(rounds):
                for workers in WORKERS if number % 2 else reversed(WORKERS):
                    offered = _offered(gateways[workers], rate_per_s * workers, number)
                    found.offered.setdefault(workers, []).append(offered)
                    closed = wrk.run(MIXED, folder, gateways[workers].port, GOOD, _CLOSED_S, number)
                    found.closed_per_s.setdefault(workers, []).append(closed.requests / closed.duration_s)
        for workers in WORKERS:
            with _gateways(stage, [workers]) as gateways:
                found.held[workers] = _held(stage, gateways[workers], tokens)
    return found


def table(found: Found) -> str:
    rows = []
    for workers in WORKERS:
        offered, held = found.offered[workers], found.held[workers]
        rows.append(
            [
                str(workers),
                f"{found.rate_per_s * workers:,}",
                text(spread([one.cpu_us_per_request for one in offered]), 0),
                text(spread([one.p99_s * 1000 for one in offered]), 1),
                f"{spread([one.busiest_share for one in offered]).median:.0%}",
                text(spread(found.closed_per_s[workers]), 0),
                f"{held.idle_bytes / 2**20:.0f}",
                f"{held.tokens_bytes / 2**20:.0f} for {held.tokens:,}",
                f"{held.asked / held.tokens:.1f}",
            ]
        )
    heads = ["workers", "requests/s offered", "CPU µs per request", "p99 ms", "CPU of the busiest worker"]
    heads += ["most requests/s here", "MiB idle", "MiB more with tokens", "introspections a token"]
    words = f"Two workers' CPU per request against one worker's: {text(found.against, 2)}, at most {MORE_AT_MOST:g}."
    return "\n".join([*markdown(heads, "r" * len(heads), rows), "", words])


@contextmanager
def _gateways(stage: Stage, wanted: Sequence[int]) -> Iterator[dict[int, Contestant]]:
    """One for each number of workers, serving."""
    if not wanted:
        yield {}
        return
    with stage.contestants([Kind.FAST], workers=wanted[0]) as (first,), _gateways(stage, wanted[1:]) as others:
        yield {wanted[0]: first, **others}


def _offered(contestant: Contestant, rate_per_s: int, number: int) -> Offered:
    workers = children(contestant.server.processes()[0]) or contestant.server.processes()
    before = {pid: contestant.server.cpu_s([pid]) for pid in workers}
    cpu_before_s = contestant.server.cpu_s()
    wire = partial(_wire, (_FIRST_RUN + 1 + number) * mixed.RUN_NUMBERS)
    outcome = open_loop.run(contestant.port, wire, rate_per_s * _ROUND_S, rate_per_s, _CONNECTIONS)
    if outcome.failed:
        raise RuntimeError(f"{contestant.name}: {outcome.failed} requests failed")
    cpu_s = contestant.server.cpu_s() - cpu_before_s
    spent = [contestant.server.cpu_s([pid]) - cpu for pid, cpu in before.items()]
    return Offered(
        cpu_s / len(outcome.latencies_s) * 1e6,
        quantile(outcome.latencies_s, 0.99),
        max(spent) / max(sum(spent), 0.01),
    )


def _held(stage: Stage, contestant: Contestant, tokens: int) -> Held:
    idle_bytes = contestant.server.memory_bytes()
    asked = _know(stage, contestant, tokens, lambda number: open_loop.request_bytes("/", f"good-held-{number:030}"))
    return Held(idle_bytes, contestant.server.memory_bytes() - idle_bytes, tokens, asked)


def _know(stage: Stage, contestant: Contestant, tokens: int, wire: Callable[[int], bytes]) -> int:
    """Ask for every token until all workers know all: until a whole round asks the provider for nothing."""
    began = stage.introspections()
    for _ in range(_ROUNDS_MAX):
        before = stage.introspections()
        outcome = open_loop.run(contestant.port, wire, tokens, None, _CONNECTIONS)
        if outcome.failed:
            raise RuntimeError(f"{contestant.name}: {outcome.failed} of {tokens} good tokens were refused")
        if stage.introspections() == before:
            return before - began
    raise RuntimeError(f"{contestant.name}: a worker still meets tokens for the first time")


def _wire(first: int, number: int) -> bytes:
    return mixed.wire(first + number)
