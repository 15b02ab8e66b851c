"""Which cores the proxies run on, and which everything else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cores:
    """`proxy` is one core; `load` are the others, for the generator, the backend, the provider and Redis."""

    proxy: frozenset[int]
    load: frozenset[int]

    @property
    def are_apart(self) -> bool:
        return not self.proxy & self.load


def split(usable: frozenset[int]) -> Cores:
    """The first core for the proxy and the rest for the load; one core alone has to do for both."""
    first = frozenset({min(usable)})
    return Cores(first, usable - first or first)


def busy_s(cores: frozenset[int]) -> float:
    """How long `cores` have not been idle since the machine was started, whoever had them (proc_stat(5))."""
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name.removeprefix("cpu").isdigit() and int(name.removeprefix("cpu")) in cores:
            user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / _TICKS_PER_S


@contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """This process, and what is started within the block, stays on `cores`."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
