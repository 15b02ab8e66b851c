"""Twenty thousand tokens that nobody issued: `python tests/benchmarks/junk.py`.

One gateway, as `gateway serve` starts it, with the limit that it has by default unless told otherwise. At the end
stands a table; the exit status is 1 where a good token failed or was asked about again, memory grew, or the provider
was called more often than the limit allows. Loopback alone.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=20_000, help="how many (default: 20000)")
    parser.add_argument("--rate", type=int, default=200, help="server.unknown_tokens.rate (default: 200)")
    parser.add_argument("--burst", type=int, default=1_000, help="server.unknown_tokens.burst (default: 1000)")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.junk_run import Plan, flood

    with tempfile.TemporaryDirectory(prefix="junk-") as folder:
        report = asyncio.run(flood(Plan(asked.tokens, asked.rate, asked.burst), Path(folder)))
    print(report.table())
    return 0 if report.is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
