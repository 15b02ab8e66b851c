"""All that one comparison has found, and as JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum
from typing import Any

from benchmarks.comparison.checks import Checked
from benchmarks.comparison.latency import Latencies
from benchmarks.comparison.loads import Samples
from benchmarks.comparison.machine import Machine
from benchmarks.comparison.memory import Held
from benchmarks.comparison.peer import Kind
from benchmarks.comparison.provider_calls import Asked
from benchmarks.comparison.wrk import Load


@dataclass(frozen=True)
class Plan:
    """How much is measured. A round of a load or of a latency lasts `…round_s`."""

    rounds: int
    round_s: int
    latency_rounds: int
    latency_round_s: int
    tokens: int
    matching_rounds: int


FULL = Plan(rounds=5, round_s=2, latency_rounds=3, latency_round_s=3, tokens=100_000, matching_rounds=30)
QUICK = Plan(rounds=2, round_s=1, latency_rounds=1, latency_round_s=2, tokens=20_000, matching_rounds=10)


@dataclass
class Results:
    """`helpers` are the versions of what is no contestant; `absent` says what kept a kind away."""

    plan: Plan
    machine: Machine
    helpers: dict[str, str]
    versions: dict[Kind, str]
    absent: dict[Kind, str]
    checked: dict[Kind, Checked]
    samples: Samples
    latencies: Latencies
    asked: dict[Kind, Asked]
    matching: dict[int, list[float]]
    held: dict[Kind, Held]
    minutes: float = 0.0


def as_json(value: Any) -> Any:
    """What `json.dumps` takes. The backend without a proxy, `None` as a key, is called so."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: as_json(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {_key(key): as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    return value.value if isinstance(value, Enum) else value


def _key(key: Any) -> str:
    if key is None:
        return "backend, no proxy"
    if isinstance(key, Load):
        return key.name
    return str(key.value if isinstance(key, Enum) else key)
