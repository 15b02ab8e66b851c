"""What clients notice of one dead backend of two, with the gateway and nginx: `python tests/benchmarks/backends.py`.

The backend is dead in one way after the other: it refuses connections, swallows them, accepts and says nothing, is not
well (503 to everything, its health path among it), or dies under load. 2,000 requests, half of them POST, come from
twenty clients. A request has failed that has no response or a 5xx, and is slow beyond a second. nginx has its defaults;
the gateway too, but for `health` where the backend is not well. There each client asks ten times a second, because
questions about health take seconds to say something. Loopback alone; it takes some minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2_000, help="of each server in each way (default: 2000)")
    parser.add_argument("--clients", type=int, default=20, help="that ask at a time (default: 20)")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.backends_run import compared

    with tempfile.TemporaryDirectory(prefix="backends-") as folder:
        print(asyncio.run(compared(asked.requests, asked.clients, Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
