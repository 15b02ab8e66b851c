"""What JWTs cost: `python tests/benchmarks/jwts.py --write docs/performance.md`.

One gateway, as `gateway serve` starts it, and three routes: `introspection`, `jwt`, `jwt_then_introspection`. A known
token by turns on the first two; new JWTs that are verified here; and ten thousand forged ones on the third. The exit
status is 1 where a forged one passed or was asked about, or the keys were fetched more often than every ten seconds.
Where Apache's mod_oauth2 is installed (libapache2-mod-oauth2), it gets the same tokens, for comparison.
Loopback alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forged", type=int, default=10_000, help="how many, all kinds together (default: 10000)")
    parser.add_argument("--rounds", type=int, default=9, help="of the known token (default: 9)")
    parser.add_argument("--requests", type=int, default=4_000, help="with the known token in each (default: 4000)")
    parser.add_argument("--new", type=int, default=1_000, help="new JWTs of each algorithm (default: 1000)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables between the marks of this file")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.comparison.cores import pinned, split
    from benchmarks.jwts_run import Plan, measured

    cores = split(frozenset(os.sched_getaffinity(0)))
    plan = Plan(asked.forged, asked.rounds, asked.requests, asked.new, cores.proxy, has_peer=True)
    with tempfile.TemporaryDirectory(prefix="jwts-") as folder, pinned(cores.load):
        report = asyncio.run(measured(plan, Path(folder)))
    print(report.tables())
    if asked.write is not None:
        _put(asked.write, report.tables())
    return 0 if report.is_sound else 1


def _put(file: Path, tables: str) -> None:
    begin, end = "<!-- jwts: begin -->", "<!-- jwts: end -->"
    before, _, rest = file.read_text().partition(begin)
    _, _, after = rest.partition(end)
    file.write_text(f"{before}{begin}\n\n{tables}\n\n{end}{after}")


if __name__ == "__main__":
    sys.exit(main())
