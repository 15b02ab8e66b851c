"""Which parts of a process are up at the time of a scrape: it, its providers and Redis; and how full its cache is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.observe.families import CACHE_ENTRIES, LIMITS_ALONE, PROVIDER_UP, READY, REDIS_UP
from gateway.observe.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class UpStates:
    """`redis_up` is None where no Redis is configured."""

    is_ready: bool
    providers_up: Mapping[str, bool] = field(default_factory=dict)
    redis_up: bool | None = None
    cache_entries: int = 0
    limits_alone: bool = False

    def snapshot(self) -> Snapshot:
        least: dict[str, list[list[object]]] = {
            READY.name: [[[], int(self.is_ready)]],
            PROVIDER_UP.name: [[[name], int(is_up)] for name, is_up in self.providers_up.items()],
        }
        if self.redis_up is not None:
            least[REDIS_UP.name] = [[[], int(self.redis_up)]]
        return {
            "least": least,
            "gauges": {CACHE_ENTRIES.name: self.cache_entries},
            "states": {LIMITS_ALONE.name: [[[], int(self.limits_alone)]]},
        }
