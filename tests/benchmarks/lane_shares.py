"""Which lane takes what real clients send: `python tests/benchmarks/lane_shares.py`.

Replays the recorded requests of a browser and of services (`tests/http/recorded`) through a gateway in this process and
prints a table; `--write docs/performance.md` puts it between that document's markers.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path


async def shares() -> str:
    from support.recorded import clients, replay, table

    return table({name: await replay(requests) for name, requests in clients().items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", metavar="FILE", type=Path, help="put the table into this document")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.comparison.report import insert
    from support.recorded import BEGIN, END

    found = asyncio.run(shares())
    print(found)
    if asked.write:
        asked.write.write_text(insert(asked.write.read_text(), found + "\n", (BEGIN, END)))


if __name__ == "__main__":
    main()
