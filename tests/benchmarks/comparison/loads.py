"""Closed loops by wrk, in alternating rounds: CPU per request, requests per second, bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from benchmarks.comparison import open_loop, wrk
from benchmarks.comparison.checks import GOOD, CheckError
from benchmarks.comparison.cores import busy_s
from benchmarks.comparison.mixed import RUN_NUMBERS, SERVICES, TOKENS, token, wire
from benchmarks.comparison.peer import Contestant, Kind
from benchmarks.comparison.plan import Plan
from benchmarks.comparison.stage import Stage, caller
from benchmarks.comparison.wrk import Load

MIXED = Load("mixed GET, 32 connections", "", 32, services=SERVICES, key="mixed")
MIXED_POST = Load("mixed POST 1 KiB, 32 connections", "/post", 32, 2**10, services=SERVICES, key="mixed-post")
GET_32 = Load("repeated GET, 32 connections", "/", 32, key="get-32")
GET_1 = Load("repeated GET, 1 connection", "/", 1, key="get-1")
GET_256 = Load("repeated GET, 256 connections", "/", 256, key="get-256")
POST_1K = Load("repeated POST 1 KiB, 32 connections", "/post", 32, 2**10, key="post-1k")
POST_64K = Load("repeated POST 64 KiB, 32 connections", "/post", 32, 64 * 2**10, key="post-64k")
DOWNLOAD = Load("download 10 MiB, 8 connections", "/download", 8, key="download")
LOADS = (MIXED, MIXED_POST, GET_32, GET_1, GET_256, POST_1K, POST_64K, DOWNLOAD)
_REFUSED_SHARE_MAX = 0.01
_WARM_UP_CONNECTIONS = 8
# Numbers of the mixed load that no run of wrk's comes to.
WARM_UP_RUN = 900


@dataclass(frozen=True)
class Sample:
    """One load on one contestant for one round.

    `introspections` came to the provider meanwhile; for `foreign_s` others had the proxy's core.
    """

    requests: int
    received_bytes: int
    duration_s: float
    cpu_s: float
    failed: int
    introspections: int
    foreign_s: float

    @property
    def cpu_us_per_request(self) -> float:
        return self.cpu_s / max(1, self.requests) * 1e6

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.duration_s

    @property
    def mb_per_s(self) -> float:
        return self.received_bytes / 1e6 / self.duration_s

    @property
    def mb_per_cpu_s(self) -> float:
        return self.received_bytes / 1e6 / max(self.cpu_s, 0.01)

    @property
    def busy_share(self) -> float:
        """Of the proxy's core. Well below 1, something else was what limited the requests per second."""
        return self.cpu_s / self.duration_s


_One = TypeVar("_One")
# By load, then by kind: one sample for each round.
Samples = dict[Load, dict[Kind, list[Sample]]]


def measure(
    stage: Stage, contestants: Sequence[Contestant], loads: Sequence[Load], plan: Plan, tell: Callable[[str], None]
) -> Samples:
    """All are measured within each round, in an order that moves on from round to round."""
    for contestant in contestants:
        warm_up(contestant)
    samples: Samples = {load: {one.kind: [] for one in contestants} for load in loads}
    for load in loads:
        tell(load.name)
        for number in range(plan.rounds):
            for contestant in turned(contestants, number):
                samples[load][contestant.kind].append(sample(stage, contestant, load, plan.round_s, number))
    return samples


def turned(contestants: Sequence[_One], number: int) -> list[_One]:
    """In the order of round `number`: each begins once."""
    first = number % len(contestants)
    return [*contestants[first:], *contestants[:first]]


def warm_up(contestant: Contestant, prefix: str = "") -> None:
    """Each token of the mixed load is asked for twice, so that its answer is remembered where the peer remembers any.
    `prefix` stands before each path.

    Raises `CheckError` unless every one of these requests is answered by 200 and comes with its token's user.
    """
    for again in range(2):
        first = WARM_UP_RUN * RUN_NUMBERS + again * TOKENS
        outcome = open_loop.run(contestant.port, partial(_wire, first, prefix), TOKENS, None, _WARM_UP_CONNECTIONS)
        if outcome.failed:
            raise CheckError(f"{contestant.name}: {outcome.failed} of {TOKENS} good tokens were refused")
    for number in (0, TOKENS // 2, TOKENS - 1):
        seen = caller(contestant.port, token(number))[1]
        if contestant.kind.does_auth and seen.get("user") != f"u-{token(number)}":
            raise CheckError(f"{contestant.name}: another user than the token's: {seen}")


def _wire(first: int, prefix: str, number: int) -> bytes:
    return wire(first + number, prefix)


def sample(stage: Stage, contestant: Contestant, load: Load, duration_s: int, number: int = 0) -> Sample:
    """`number` is the round's: within it all contestants are sent the same.

    Raises `CheckError` where more than a few were refused: a refusal costs less than the work that is compared.
    """
    core = stage.place.cores.proxy
    asked = stage.introspections()
    busy_before_s, cpu_before_s = busy_s(core), contestant.server.cpu_s()
    summary = wrk.run(load, stage.place.folder, contestant.port, GOOD, duration_s, number)
    cpu_s = contestant.server.cpu_s() - cpu_before_s
    foreign_s = max(0.0, busy_s(core) - busy_before_s - cpu_s)
    if summary.refused > _REFUSED_SHARE_MAX * summary.requests:
        raise CheckError(f"{contestant.name}; {load.name}: {summary.refused} of {summary.requests} were refused")
    return Sample(
        summary.requests,
        summary.received_bytes,
        summary.duration_s,
        cpu_s,
        summary.failed,
        stage.introspections() - asked,
        foreign_s,
    )
