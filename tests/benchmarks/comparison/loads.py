"""Closed loops by wrk, in alternating rounds: CPU per request, requests per second, bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.comparison import wrk
from benchmarks.comparison.checks import GOOD
from benchmarks.comparison.cores import busy_s
from benchmarks.comparison.peer import Contestant, Kind
from benchmarks.comparison.stage import Stage
from benchmarks.comparison.wrk import Load

GET_1 = Load("GET, 1 connection", "/", 1)
GET_32 = Load("GET, 32 connections", "/", 32)
GET_VARIED = Load("GET, 32 connections, paths that vary", "/items/", 32, is_varied=True)
GET_256 = Load("GET, 256 connections", "/", 256)
POST_1K = Load("POST 1 KiB, 32 connections", "/post", 32, 2**10)
POST_64K = Load("POST 64 KiB, 32 connections", "/post", 32, 64 * 2**10)
DOWNLOAD = Load("download 10 MiB, 8 connections", "/download", 8)
LOADS = (GET_1, GET_32, GET_VARIED, GET_256, POST_1K, POST_64K, DOWNLOAD)
_WARM_UP_S = 1


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


# By load, then by kind: one sample for each round.
Samples = dict[Load, dict[Kind, list[Sample]]]


def measure(
    stage: Stage, contestants: Sequence[Contestant], rounds: int, round_s: int, tell: Callable[[str], None]
) -> Samples:
    """All are measured within each round, in an order that moves on from round to round."""
    samples: Samples = {load: {one.kind: [] for one in contestants} for load in LOADS}
    for contestant in contestants:
        sample(stage, contestant, GET_32, _WARM_UP_S)
    for load in LOADS:
        tell(load.name)
        for number in range(rounds):
            first = number % len(contestants)
            for contestant in [*contestants[first:], *contestants[:first]]:
                samples[load][contestant.kind].append(sample(stage, contestant, load, round_s))
    return samples


def sample(stage: Stage, contestant: Contestant, load: Load, duration_s: int) -> Sample:
    core = stage.place.cores.proxy
    asked = stage.introspections()
    busy_before_s, cpu_before_s = busy_s(core), contestant.server.cpu_s()
    summary = wrk.run(load, stage.place.folder, contestant.port, GOOD, duration_s)
    cpu_s = contestant.server.cpu_s() - cpu_before_s
    foreign_s = max(0.0, busy_s(core) - busy_before_s - cpu_s)
    return Sample(
        summary.requests,
        summary.received_bytes,
        summary.duration_s,
        cpu_s,
        summary.failed,
        stage.introspections() - asked,
        foreign_s,
    )
