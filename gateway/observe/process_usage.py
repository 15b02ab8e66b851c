"""What this process uses of the machine, under the names that every Prometheus client gives it (`process_*`).

The CPU time is known everywhere. The rest comes from /proc, and is left out where there is none.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

from gateway.observe.families import PROCESS_CPU, PROCESS_FDS, PROCESS_FDS_MAX, PROCESS_MEMORY, PROCESS_START
from gateway.observe.snapshots import Snapshot

_PROC = Path("/proc/self")
# proc(5), `stat`: the fields behind the name in brackets, from the third one on, so `starttime` (22) is the 20th.
_START_TICKS, _RESIDENT_PAGES = 19, 21


def process_usage() -> Snapshot:
    """The CPU time, memory, descriptors and start of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    gauges: dict[str, float] = {PROCESS_FDS_MAX.name: _fds_max()}
    least: dict[str, list[list[object]]] = {}
    try:
        fields = (_PROC / "stat").read_text().rpartition(")")[2].split()
        gauges[PROCESS_FDS.name] = _open_fds()
    except OSError:
        pass
    else:
        gauges[PROCESS_MEMORY.name] = int(fields[_RESIDENT_PAGES]) * os.sysconf("SC_PAGE_SIZE")
        least[PROCESS_START.name] = [[[], _started_at(int(fields[_START_TICKS]))]]
    return {
        "counters": {PROCESS_CPU.name: [[[], used.ru_utime + used.ru_stime]]},
        "gauges": gauges,
        "least": least,
    }


def _started_at(ticks: int) -> float:
    """Unix time. The ticks are from the start of the machine on, as is this clock."""
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return round(time.time() - age_s, 2)


def _open_fds() -> int:
    # Since Linux 6.2 the size is the number, and costs nothing; with 20,000 connections a listing takes milliseconds.
    directory = _PROC / "fd"
    return directory.stat().st_size or len(list(directory.iterdir())) - 1  # the listing's own


def _fds_max() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 2**63 - 1
