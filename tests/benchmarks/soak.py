"""Minutes or hours of everything at once: `python tests/benchmarks/soak.py --minutes 10`.

Two gateways of two workers each share a Redis. Between them and Redis, provider and backend are proxies that carry
badly, a window at a time; meanwhile files are reloaded, workers killed, caches emptied, and callers come who hit, miss,
are refused, upload, download, speak WebSocket and leave in the middle. At the end stands a table; the exit status is 1
where anything in it should be zero and is not, or flat and is not. See `docs/soak.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--callers", type=int, default=8, help="how many callers at a time (default: 8)")
    parser.add_argument("--seed", type=int, default=1, help="of the order in which things happen (default: 1)")
    parser.add_argument(
        "--keep", metavar="FOLDER", type=Path, help="keep there what the gateways print, and samples.csv"
    )
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.soak_run import soak

    with tempfile.TemporaryDirectory(prefix="soak-") as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        verdict = asyncio.run(soak(asked.minutes * 60, asked.callers, asked.seed, folder))
    print(verdict.table())
    return 0 if verdict.is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
