"""What a worker's tables held over time, as the probe within it wrote down: their filling is told apart from a leak.

A table that fills up to its bound and stays there makes a process grow, and is no leak. So the bytes by which tables
have grown are taken off a process's own growth before it is held to be flat; and no table may hold more entries than
the largest bound that the gateway has for anything, for else it would be the leak itself.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# `PurgeIndex` and what is known of purges remember 10,000; a table of two configurations in force counts twice.
ENTRIES_MAX = 20_000
_SHOWN_MAX = 8
_Line = dict[str, Any]


@dataclass(frozen=True)
class Filling:
    """One table: the medians of the first third and of the last."""

    name: str
    entries_before: float
    entries_after: float
    bytes_before: float
    bytes_after: float

    @property
    def short(self) -> str:
        return self.name.removeprefix("gateway.")

    @property
    def growth_bytes(self) -> float:
        return self.bytes_after - self.bytes_before


@dataclass(frozen=True)
class Within:
    """One worker. `blocks` are those that Python has allocated, the least of each third: what is never given back."""

    fillings: tuple[Filling, ...] = ()
    blocks_before: int = 0
    blocks_after: int = 0
    entries_most: int = 0
    largest: str = field(default="none")

    @property
    def growth_bytes(self) -> float:
        return sum(one.growth_bytes for one in self.fillings)

    @property
    def is_bounded(self) -> bool:
        return self.entries_most <= ENTRIES_MAX

    def lines(self, process: str) -> list[str]:
        """Rows of the second table, those that have grown most first."""
        most = sorted(self.fillings, key=lambda one: -abs(one.growth_bytes))[:_SHOWN_MAX]
        return [
            f"| {process} | {one.short} | {one.entries_before:,.0f} to {one.entries_after:,.0f} "
            f"| {one.bytes_before / 1024:,.0f} to {one.bytes_after / 1024:,.0f} |"
            for one in most
        ]


HEAD = ("| process | table | entries | KiB |", "| --- | --- | ---: | ---: |")


def within(folder: Path, pid: int, warm_up_s: float) -> Within:
    """What the probe of `pid` has written, without its warm-up; nothing where it has written nothing."""
    file = folder / f"{pid}.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    warm = [line for line in lines if line["s"] >= warm_up_s]
    third = len(warm) // 3
    if not third:
        return Within()
    first, last = warm[:third], warm[-third:]
    names = sorted({name for line in (*first, *last) for name in line["tables"]})
    entries_most, largest = max(
        ((held[0], name) for line in lines for name, held in line["tables"].items()), default=(0, "none")
    )
    return Within(
        tuple(_filling(name, first, last) for name in names),
        min(line["blocks"] for line in first),
        min(line["blocks"] for line in last),
        entries_most,
        largest,
    )


def _filling(name: str, first: Sequence[_Line], last: Sequence[_Line]) -> Filling:
    def median(lines: Sequence[_Line], which: int) -> float:
        return statistics.median(line["tables"].get(name, (0, 0))[which] for line in lines)

    return Filling(name, median(first, 0), median(last, 0), median(first, 1), median(last, 1))
