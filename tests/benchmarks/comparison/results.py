"""All that one comparison has found, and as JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from benchmarks.comparison.asking import Questions
from benchmarks.comparison.checks import Checked
from benchmarks.comparison.latency import Latencies
from benchmarks.comparison.loads import Samples
from benchmarks.comparison.machine import Machine
from benchmarks.comparison.memory import Held
from benchmarks.comparison.peer import Kind
from benchmarks.comparison.plan import Plan
from benchmarks.comparison.provider_calls import Asked
from benchmarks.comparison.variations import Varied
from benchmarks.comparison.wrk import Load


@dataclass
class Results:
    """`helpers` are the versions of what is no contestant; `absent` says what kept a kind away.

    What was not asked for is empty.
    """

    plan: Plan
    machine: Machine
    helpers: dict[str, str]
    versions: dict[Kind, str] = field(default_factory=dict)
    absent: dict[Kind, str] = field(default_factory=dict)
    checked: dict[Kind, Checked] = field(default_factory=dict)
    samples: Samples = field(default_factory=dict)
    varied: Varied = field(default_factory=dict)
    latencies: Latencies = field(default_factory=dict)
    asked: dict[Kind, Asked] = field(default_factory=dict)
    questions: Questions = field(default_factory=dict)
    matching: dict[int, list[float]] = field(default_factory=dict)
    held: dict[Kind, Held] = field(default_factory=dict)
    minutes: float = 0.0
    is_partial: bool = False


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
    if isinstance(key, tuple):
        return ", ".join(_key(one) for one in key)
    return str(key.value if isinstance(key, Enum) else key)
