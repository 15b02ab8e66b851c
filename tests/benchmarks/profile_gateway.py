"""Where a request's time goes: `python tests/benchmarks/profile_gateway.py`.

Runs one worker under wrk's load and prints the functions that took most, by their own time. cProfile counts calls
exactly and makes short functions look dearer than they are; `--native` samples with `perf` instead, at no cost to the
gateway, and shows the functions of the interpreter, the libraries and the kernel.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import subprocess
import sys
import tempfile
from pathlib import Path

_INSIDE = "--inside"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lane", choices=["fast", "general"], default="fast")
    parser.add_argument("--target", default="/", help="what is asked for: / (default), /post or /download")
    parser.add_argument("--body", type=int, default=0, metavar="BYTES", help="send that by POST")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--top", type=int, default=40, metavar="N", help="functions that are shown (default: 40)")
    parser.add_argument("--native", action="store_true", help="sample with perf instead of cProfile")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.comparison import ours, wrk
    from benchmarks.comparison.checks import GOOD
    from benchmarks.comparison.cores import pinned, split
    from benchmarks.comparison.stage import await_answers, staged

    cores = split(frozenset(os.sched_getaffinity(0)))
    load = wrk.Load("", asked.target, asked.connections, asked.body)
    with tempfile.TemporaryDirectory(prefix="profile-") as scratch, pinned(cores.load):
        folder = Path(scratch)
        stats = folder / "stats"
        with staged(folder, cores) as stage:
            make = ours.fast if asked.lane == "fast" else ours.general
            server = make(stage.place.below("gateway")).server
            if not asked.native:
                server.command = [sys.executable, __file__, _INSIDE, server.command[-1], str(stats)]
            server.start()
            try:
                await_answers(server)
                wrk.run(load, folder, server.port, GOOD, 1)
                sampling = _sampled(server.processes()[0], stats, asked.seconds) if asked.native else None
                summary = wrk.run(load, folder, server.port, GOOD, asked.seconds)
                if sampling is not None:
                    sampling.wait()
            finally:
                server.stop()
        print(f"{summary.requests / summary.duration_s:,.0f} requests/s while profiled, {summary.failed} failed")
        if asked.native:
            _print_samples(stats, asked.top)
        else:
            pstats.Stats(str(stats)).strip_dirs().sort_stats("tottime").print_stats(asked.top)


def serve_profiled(config: str, stats: str) -> None:
    """What this script does as the gateway's process. Imports are done before the clock runs."""
    from gateway.cli import main as cli

    profile = cProfile.Profile()
    try:
        profile.runcall(cli, ["serve", "-c", config])
    finally:
        profile.dump_stats(stats)


def _sampled(pid: int, into: Path, seconds: int) -> subprocess.Popen[bytes]:
    command = ["perf", "record", "-q", "-F", "999", "-p", str(pid), "-o", str(into), "--", "sleep", str(seconds)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)


def _print_samples(stats: Path, top: int) -> None:
    command = ["perf", "report", "--stdio", "-q", "--no-children", "--sort", "dso,symbol", "-i", str(stats)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout
    print("\n".join([line for line in shown.splitlines() if line.strip()][:top]))


if __name__ == "__main__":
    if sys.argv[1:2] == [_INSIDE]:
        serve_profiled(*sys.argv[2:])
    else:
        main()
