"""What the gateway is to reach, and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.comparison.arithmetic import Spread, difference, ratio, spread
from benchmarks.comparison.latency import Case
from benchmarks.comparison.loads import DOWNLOAD, GET_32, MIXED, MIXED_POST, Sample
from benchmarks.comparison.memory import CONNECTIONS
from benchmarks.comparison.peer import Kind
from benchmarks.comparison.results import Results
from benchmarks.comparison.variations import Variation
from benchmarks.comparison.wrk import Load

CPU_AT_MOST = {Kind.NGINX_AUTH: 1.3, Kind.ENVOY: 0.6, Kind.APACHE: 0.35}
CPU_AIM = 1.0  # against nginx
POST_ALLOWANCE = 1.2
LANES_AT_MOST = 2.5
DOWNLOAD_AT_LEAST = 0.7
ROUTES_AT_MOST = 1.05
CREDENTIALS_AT_MOST = 1.1
P99_AT_MOST_S = 0.001
TOKENS = 100_000
TOKENS_AT_MOST_BYTES = 150 * 2**20
CONNECTIONS_AT_MOST_BYTES = 100 * 2**20


@dataclass(frozen=True)
class Target:
    """`found` is `None` where it could not be measured; `is_least` turns the bound round."""

    words: str
    bound: float
    found: Spread | None
    unit: str = ""
    digits: int = 2
    is_least: bool = False
    remark: str = ""

    @property
    def is_reached(self) -> bool | None:
        if self.found is None:
            return None
        return self.found.median >= self.bound if self.is_least else self.found.median <= self.bound


def targets(results: Results) -> list[Target]:
    return [
        *_cpu(results, MIXED, "mixed GET", 1.0),
        *_cpu(results, GET_32, "repeated GET", 1.0),
        *_cpu(results, MIXED_POST, "mixed POST 1 KiB", POST_ALLOWANCE),
        *(_lanes(results, load, words) for load, words in ((MIXED, "mixed"), (GET_32, "repeated"))),
        Target(
            "10 MiB download, MB per CPU second against nginx auth_request",
            DOWNLOAD_AT_LEAST,
            _paired(results, DOWNLOAD, Kind.FAST, Kind.NGINX_AUTH, lambda one: one.mb_per_cpu_s),
            is_least=True,
        ),
        *_credentials(results),
        *_routes(results),
        _p99(results),
        *_memory(results),
    ]


def _lanes(results: Results, load: Load, words: str) -> Target:
    return Target(
        f"CPU per {words} GET, general lane against fast lane",
        LANES_AT_MOST,
        _paired(results, load, Kind.GENERAL, Kind.FAST, lambda one: one.cpu_us_per_request),
    )


def _routes(results: Results) -> Iterator[Target]:
    """The lookup by itself, which no scheduler blurs, and the whole of a mixed request."""
    yield Target(
        "10,000 routes against 10, a lookup",
        ROUTES_AT_MOST,
        ratio(results.matching[10_000], results.matching[10]) if results.matching else None,
        digits=3,
    )
    found = _against(results, Kind.FAST, Variation.MANY, Variation.FEW)
    yield Target("10,000 routes against 10, CPU per mixed GET", ROUTES_AT_MOST, found, digits=3)


def _credentials(results: Results) -> Iterator[Target]:
    for kind in (Kind.FAST, Kind.COMPILED):
        for one, words in ((Variation.EXCHANGED, "an exchanged token"), (Variation.SIGNED, "a signed identity")):
            if kind is Kind.COMPILED and kind not in results.varied.get(one, {}):
                continue
            name = kind.value.removeprefix("gateway, ")
            found = _against(results, kind, one, Variation.HEADERS)
            yield Target(f"CPU per mixed GET, {name}, {words} against none", CREDENTIALS_AT_MOST, found)


def _against(results: Results, kind: Kind, one: Variation, other: Variation) -> Spread | None:
    """What `kind` spends on the one for each request, as a part of what it spends on the other."""
    mine, others = (results.varied.get(each, {}).get(kind) for each in (one, other))
    if not mine or not others:
        return None
    return ratio([each.cpu_us_per_request for each in mine], [each.cpu_us_per_request for each in others])


def _cpu(results: Results, load: Load, words: str, allowance: float) -> Iterator[Target]:
    for ours in (Kind.FAST, Kind.COMPILED):
        if ours is Kind.COMPILED and ours not in results.samples.get(load, {}):
            continue
        for kind, at_most in CPU_AT_MOST.items():
            found = _paired(results, load, ours, kind, lambda one: one.cpu_us_per_request)
            bound = at_most * allowance
            aim = f"aim: {CPU_AIM:g}" if kind is Kind.NGINX_AUTH and allowance == 1 else ""
            name = ours.value.removeprefix("gateway, ")
            yield Target(f"CPU per {words}, {name} against {kind.value}", bound, found, remark=aim)


def _paired(results: Results, load: Load, ours: Kind, theirs: Kind, figure: Callable[[Sample], float]) -> Spread | None:
    samples = results.samples.get(load, {})
    if not samples.get(ours) or not samples.get(theirs):
        return None
    return ratio([figure(one) for one in samples[ours]], [figure(one) for one in samples[theirs]])


def _p99(results: Results) -> Target:
    timed = results.latencies.get(Case.HIT, {})
    found = None
    if timed.get(Kind.FAST) and timed.get(Kind.NGINX_AUTH):
        found = difference([one.p99_s for one in timed[Kind.FAST]], [one.p99_s for one in timed[Kind.NGINX_AUTH]])
    words = "latency p99 at 1,000 mixed requests/s, in-process hit, fast lane over nginx auth_request"
    return Target(words, P99_AT_MOST_S * 1000, None if found is None else found.times(1000), " ms")


def _memory(results: Results) -> Iterator[Target]:
    """The lanes remember the same; of connections, the lane that holds more counts."""
    ours = [held for kind, held in results.held.items() if kind.is_ours]
    filled = [(held, found / 2**20) for held in ours if (found := held.for_tokens(TOKENS)) is not None]
    remark = f"extended from {filled[0][0].tokens:,}" if filled and filled[0][0].tokens != TOKENS else ""
    connections = [held.connections_bytes / 2**20 for held in ours]
    yield Target(
        f"memory for {TOKENS:,} cached tokens",
        TOKENS_AT_MOST_BYTES / 2**20,
        spread([found for _, found in filled]) if filled else None,
        " MiB",
        0,
        remark=remark,
    )
    yield Target(
        f"memory for {CONNECTIONS:,} idle connections",
        CONNECTIONS_AT_MOST_BYTES / 2**20,
        _highest(connections),
        " MiB",
        0,
    )


def _highest(values: list[float]) -> Spread | None:
    return Spread(max(values), min(values), max(values)) if values else None
