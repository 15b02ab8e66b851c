"""What is lost when the gateway is told to stop under load, and when nginx is: `python tests/benchmarks/stopping.py`.

Twelve keep-alive clients ask one thing after the other, without a pause and with up to 50 ms between a response and the
next request; then the server is told to stop (SIGTERM; nginx by SIGQUIT, its graceful way). At the end stands a table.
The exit status is 1 where the gateway lost a request on a connection that stood, or refused one within `drain_delay`.
Loopback alone.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="how often each server is stopped (default: 10)")
    parser.add_argument("--clients", type=int, default=12, help="that ask at a time (default: 12)")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.stopping_run import stopping

    with tempfile.TemporaryDirectory(prefix="stopping-") as folder:
        report = asyncio.run(stopping(asked.rounds, asked.clients, Path(folder)))
    print(report.table())
    return 0 if report.is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
