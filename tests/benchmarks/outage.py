"""The provider is away for a minute, and nobody with a known token notices: `python tests/benchmarks/outage.py`.

Two gateways of two workers each, as `gateway serve` starts them, share a real Redis; the provider resets every
connection for `--seconds`. At the end stands a table; the exit status is 1 where a GET with a known token failed, a
revoked or purged one was let in, or the provider was called more often than the breakers allow. Loopback alone.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it is away (default: 60)")
    parser.add_argument("--ttl", type=float, default=5.0, help="how long facts are fresh, in seconds (default: 5)")
    parser.add_argument("--interval", type=float, default=5.0, help="of the breakers, in seconds (default: 5)")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.outage_run import Plan, outage

    with tempfile.TemporaryDirectory(prefix="outage-") as folder:
        report = asyncio.run(outage(Plan(asked.seconds, asked.ttl, asked.interval), Path(folder)))
    print(report.table())
    return 0 if report.is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
