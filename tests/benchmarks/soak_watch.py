"""What each process holds over time, and whether that grows."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from support.processes import Footprint, ServedGateway, footprint

SAMPLE_EVERY_S = 1.0
# A process is measured once it is this old: it has imported, compiled and filled its caches by then.
WARM_UP_S, WARM_UP_SHARE = 20.0, 0.25
# The allocator's own ups and downs. A leak of 300 bytes a request is more than this within ten minutes.
MEMORY_SLACK_BYTES = 2 * 2**20
DESCRIPTORS_SLACK = 8  # a worker takes over the connections of one that was shot


@dataclass
class Series:
    """One process. A `worker` may be shot; a `supervisor` is there from the beginning to the end."""

    name: str
    samples: list[tuple[float, Footprint]] = field(default_factory=list)  # by the monotonic clock


@dataclass(frozen=True)
class Growth:
    pid: int
    name: str
    minutes: float
    warm_up_s: float
    memory_before_bytes: float
    memory_after_bytes: float
    descriptors_before: int
    descriptors_after: int

    def is_flat(self, tables_bytes: float) -> bool:
        """Apart from tables that have filled by `tables_bytes`, or emptied."""
        memory = self.memory_after_bytes - self.memory_before_bytes - max(0.0, tables_bytes)
        return memory <= MEMORY_SLACK_BYTES and self.descriptors_after - self.descriptors_before <= DESCRIPTORS_SLACK


@dataclass
class Watch:
    gateways: list[ServedGateway]
    series: dict[int, Series] = field(default_factory=dict)

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            now_s = time.monotonic()
            for name, pid in self._processes():
                seen = footprint(pid)
                if seen is not None:
                    self.series.setdefault(pid, Series(name)).samples.append((now_s, seen))
            await asyncio.sleep(SAMPLE_EVERY_S)

    def write(self, file: Path) -> None:
        """Every sample, for those who want to draw it."""
        lines = ["pid,name,seconds,memory_bytes,descriptors"]
        for pid, series in self.series.items():
            lines += [
                f"{pid},{series.name},{at_s:.0f},{seen.memory_bytes},{seen.descriptors}"
                for at_s, seen in series.samples
            ]
        file.write_text("\n".join(lines) + "\n")

    def growths(self) -> list[Growth]:
        """Of those that lived at least half of the time after their warm-up; the others are too young to tell."""
        spans = [series.samples[-1][0] - series.samples[0][0] for series in self.series.values()]
        longest_s = max(spans, default=0.0)
        warm_up_s = max(WARM_UP_S, WARM_UP_SHARE * longest_s)
        old = [item for item, span_s in zip(self.series.items(), spans, strict=True) if span_s >= warm_up_s]
        return [
            growth
            for growth in (_growth(pid, series, warm_up_s) for pid, series in old)
            if growth.minutes * 60 >= (longest_s - warm_up_s) / 2
        ]

    def _processes(self) -> Iterable[tuple[str, int]]:
        for gateway in self.gateways:
            yield f"{gateway.name}: supervisor", gateway.pid
            for pid in gateway.workers():
                yield f"{gateway.name}: worker", pid


def _growth(pid: int, series: Series, warm_up_s: float) -> Growth:
    """The first third against the last: memory by the median, descriptors, which follow the load, by the least."""
    began_s = series.samples[0][0]
    warm = [(at_s, seen) for at_s, seen in series.samples if at_s - began_s >= warm_up_s]
    third = max(1, len(warm) // 3)
    first, last = [seen for _, seen in warm[:third]], [seen for _, seen in warm[-third:]]
    return Growth(
        pid,
        series.name,
        (warm[-1][0] - warm[0][0]) / 60 if warm else 0.0,
        warm_up_s,
        statistics.median(seen.memory_bytes for seen in first),
        statistics.median(seen.memory_bytes for seen in last),
        min(seen.descriptors for seen in first),
        min(seen.descriptors for seen in last),
    )
