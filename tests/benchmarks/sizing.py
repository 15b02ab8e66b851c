"""How many cores, how much memory: `python tests/benchmarks/sizing.py comparison.json --write docs/performance.md`.

A calculation, not a measurement: the figures of a comparison (`compare.py --json`), put into the formulas below, for
1,000, 10,000 and 100,000 requests a second. `--rate 3000 --tokens 50000` calculates for figures of your own, and each
cost can be replaced by one that you have measured.

    tokens come anew in a worker:  lookups/s     = W * tokens / (ttl + W * tokens / rate)
    workers, one for each core:    W             = (rate * cpu + lookups/s * (redis_hit - cpu)) / busy
    the provider is asked:         questions/s   = tokens / (ttl + tokens / rate)
    memory:                        supervisor + W * (worker + min(tokens, max_entries) * token) + clients * connection
    connections to backends:       rate * backend_s

A worker remembers for `cache.ttl` what it has learnt about a token, and is asked about that token `rate / (W * tokens)`
times a second: from then on it takes, on average, the inverse of that until somebody asks again. The provider is asked
once for the whole fleet, as Redis tells the others. Without Redis every worker asks by itself: `lookups/s` then are the
provider's, and cost a worker what a miss costs.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import Any

BEGIN, END = "<!-- sizing: begin -->", "<!-- sizing: end -->"
RATES = (1_000, 10_000, 100_000)
TOKENS_EACH = 10  # tokens in use, for each request a second: each token comes every ten seconds
MIB = 2**20
_FIXED_POINT_STEPS = 200


@dataclass(frozen=True)
class Costs:
    """Of one worker on one core. Defaults are those of one noisy machine, for when there is no comparison at hand."""

    cpu_us: float = 174.0
    redis_hit_us: float = 900.0
    worker_mib: float = 75.0
    supervisor_mib: float = 64.0
    token_bytes: float = 1_100.0
    redis_token_bytes: float = 1_300.0
    connection_bytes: float = 1_500.0


@dataclass(frozen=True)
class Demand:
    """`busy` is how much of its core a worker is to use: beyond two thirds, queues grow long."""

    rate_per_s: float
    tokens: float
    ttl_s: float = 60.0
    max_entries: float = 100_000.0
    clients: float = 1_000.0
    backend_s: float = 0.05
    busy: float = 0.6


@dataclass(frozen=True)
class Size:
    workers: int
    lookups_per_s: float
    questions_per_s: float
    memory_mib: float
    worker_mib: float
    redis_mib: float
    backend_connections: float


def size(costs: Costs, demand: Demand) -> Size:
    workers = _workers(costs, demand)
    held = min(demand.tokens, demand.max_entries)
    worker_mib = costs.worker_mib + (held * costs.token_bytes + demand.clients / workers * costs.connection_bytes) / MIB
    return Size(
        workers,
        lookups_per_s(demand, workers),
        demand.tokens / (demand.ttl_s + demand.tokens / demand.rate_per_s),
        costs.supervisor_mib + workers * worker_mib,
        worker_mib,
        demand.tokens * costs.redis_token_bytes / MIB,
        demand.rate_per_s * demand.backend_s,
    )


def lookups_per_s(demand: Demand, workers: int) -> float:
    """Of all workers together: questions about tokens that a worker does not remember (any more)."""
    known = workers * demand.tokens
    return known / (demand.ttl_s + known / demand.rate_per_s)


def _workers(costs: Costs, demand: Demand) -> int:
    """More workers look up more often, which takes more workers: the least number that is enough for itself."""
    workers = 1
    for _ in range(_FIXED_POINT_STEPS):
        extra_us = lookups_per_s(demand, workers) * (costs.redis_hit_us - costs.cpu_us)
        wanted = math.ceil(round((demand.rate_per_s * costs.cpu_us + extra_us) / 1e6 / demand.busy, 6))
        if wanted <= workers:
            break
        workers = wanted
    return workers


def costs_of(comparison: Mapping[str, Any], kind: str) -> Costs:
    """The medians of a comparison's JSON; what it has not measured keeps its default."""
    found: dict[str, float] = {}
    mixed = comparison["samples"].get("mixed GET, 32 connections", {}).get(kind)
    redis = comparison["varied"].get("Redis hit", {}).get(kind)
    for name, samples in (("cpu_us", mixed), ("redis_hit_us", redis)):
        if samples:
            found[name] = median(one["cpu_s"] / one["requests"] for one in samples) * 1e6
    held = comparison["held"].get(kind)
    if held:
        found["worker_mib"] = held["idle_bytes"] / MIB
        found["connection_bytes"] = max(0.0, held["connections_bytes"]) / max(1, held["open_connections"])
        if held["tokens_bytes"]:
            found["token_bytes"] = held["tokens_bytes"] / held["tokens"]
    return replace(Costs(), **found)


def table(costs: Costs, demands: list[Demand]) -> str:
    return "\n".join(_lines(costs, [(demand, size(costs, demand)) for demand in demands]))


def _lines(costs: Costs, sizes: list[tuple[Demand, Size]]) -> Iterator[str]:
    yield "Calculated, not measured, from these costs of one worker on one core: " + "; ".join(
        f"`{one.name}` {getattr(costs, one.name):,.0f}" for one in fields(costs)
    )
    yield ""
    columns = [f"{demand.rate_per_s:,.0f} requests/s" for demand, _ in sizes]
    yield f"| | {' | '.join(columns)} |"
    yield f"| --- |{' ---: |' * len(columns)}"
    rows = {
        "tokens in use": lambda demand, _: f"{demand.tokens:,.0f}",
        "clients with an open connection": lambda demand, _: f"{demand.clients:,.0f}",
        "**workers, each with a core of its own**": lambda _, one: f"**{one.workers:,}**",
        "**memory of all of them**": lambda _, one: f"**{_memory(one.memory_mib)}**",
        "memory of one worker": lambda _, one: _memory(one.worker_mib),
        "lookups in Redis a second": lambda _, one: f"{one.lookups_per_s:,.0f}",
        "memory of Redis": lambda _, one: _memory(one.redis_mib),
        "questions to the provider a second": lambda _, one: f"{one.questions_per_s:,.0f}",
        "connections to backends": lambda _, one: f"{one.backend_connections:,.0f}",
    }
    for words, cell in rows.items():
        yield f"| {words} | {' | '.join(cell(demand, one) for demand, one in sizes)} |"


def _memory(mib: float) -> str:
    return f"{mib / 1024:,.1f} GiB" if mib >= 1024 else f"{mib:,.0f} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparison", nargs="?", type=Path, help="what compare.py --json has written")
    parser.add_argument("--kind", default="gateway, fast lane", help="whose figures (default: gateway, fast lane)")
    parser.add_argument("--write", metavar="FILE", type=Path, help="put the table into this document")
    for one in (*fields(Costs), *fields(Demand)):
        parser.add_argument(f"--{one.name.removesuffix('_per_s').replace('_', '-')}", type=float, dest=one.name)
    asked = parser.parse_args()
    given = {name: value for name, value in vars(asked).items() if value is not None}
    costs = costs_of(json.loads(asked.comparison.read_text()), asked.kind) if asked.comparison else Costs()
    costs = replace(costs, **{one.name: given[one.name] for one in fields(Costs) if one.name in given})
    own = {one.name: given[one.name] for one in fields(Demand) if one.name in given}
    rates = [own.pop("rate_per_s")] if "rate_per_s" in own else [float(rate) for rate in RATES]
    demands = [replace(Demand(rate, rate * TOKENS_EACH, clients=rate * TOKENS_EACH), **own) for rate in rates]
    found = table(costs, demands)
    print(found)
    if asked.write:
        sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
        from benchmarks.comparison.report import insert

        asked.write.write_text(insert(asked.write.read_text(), found + "\n", (BEGIN, END)))


if __name__ == "__main__":
    main()
