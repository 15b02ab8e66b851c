"""The gateway beside its peers, in one run: `python tests/benchmarks/compare.py`.

Against every peer that is installed: nginx, Apache with mod_auth_openidc, Envoy. Needs nginx (which is the backend
too) and wrk. Prints tables; `--json` keeps every round. It starts all that it needs on loopback, each server under a
configuration of its own in a temporary folder, and stops it again. See `docs/performance.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="six to eight minutes instead of a quarter of an hour")
    parser.add_argument("--only", metavar="NAME", action="append", help="measure this part alone; may be repeated")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each load")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every round there")
    parser.add_argument(
        "--write", metavar="FILE", type=Path, help="put the tables between the markers of this document"
    )
    parser.add_argument("--readme", metavar="FILE", type=Path, help="put the figures that it quotes into this README")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.comparison.cores import pinned, split
    from benchmarks.comparison.peer import NotInstalledError
    from benchmarks.comparison.plan import FULL, QUICK
    from benchmarks.comparison.report import insert, render
    from benchmarks.comparison.results import as_json
    from benchmarks.comparison.run import ALL, PARTS, compare
    from benchmarks.comparison.summary import MARKS, summary

    parts = frozenset(asked.only or ALL)
    if unknown := parts - ALL:
        parser.error(f"--only: no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")

    document = asked.write.read_text() if asked.write else None
    if document is not None:
        insert(document, "")  # better now than after a quarter of an hour
    if asked.readme:
        insert(asked.readme.read_text(), "", MARKS)
    plan = QUICK if asked.quick else FULL
    plan = replace(plan, rounds=asked.rounds) if asked.rounds else plan
    cores = split(frozenset(os.sched_getaffinity(0)))
    signal.signal(signal.SIGTERM, _leave)
    with tempfile.TemporaryDirectory(prefix="comparison-") as folder, pinned(cores.load):
        Path(folder).chmod(0o755)  # Apache serves as another user
        try:
            results = compare(Path(folder), cores, plan, parts, _tell)
        except NotInstalledError as error:
            print(f"needed and not installed: {error}", file=sys.stderr)
            return 1
    if asked.json:
        asked.json.write_text(json.dumps(as_json(results), indent=1) + "\n")
    tables = render(results)
    print(tables)
    if document is not None:
        asked.write.write_text(insert(document, tables))
    if asked.readme:
        asked.readme.write_text(insert(asked.readme.read_text(), summary(results) + "\n", MARKS))
    return 0


def _tell(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """By an exception, so that every server is stopped on the way out."""
    raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main())
