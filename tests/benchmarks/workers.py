"""One worker against two: `python tests/benchmarks/workers.py`. About two minutes.

Whether two workers serve twice one worker's load is measured by what each has to do for it: one worker is offered R
mixed requests a second, two are offered 2 R, and the CPU time per request is compared. On two cores generator, backend
and workers share both, so that the most that can be served says little; it is shown all the same. Then each worker is
given the same tokens, to see what they take when every worker holds them. Exit status 1: a request of two workers costs
more than a tenth more than one of one worker.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=800, help="requests a second for each worker (default: 800)")
    parser.add_argument("--rounds", type=int, default=5, help="of each, by turns (default: 5)")
    parser.add_argument("--tokens", type=int, default=20_000, help="that each worker is to hold (default: 20000)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every figure there")
    parser.add_argument("--write", metavar="FILE", type=Path, help="put the table into this document")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.comparison.report import insert
    from benchmarks.workers_run import MARKS, measure, table

    with tempfile.TemporaryDirectory(prefix="workers-") as folder:
        found = measure(Path(folder), asked.rate, asked.rounds, asked.tokens)
    print(table(found))
    if asked.json:
        asked.json.write_text(json.dumps(found.as_json(), indent=1) + "\n")
    if asked.write:
        asked.write.write_text(insert(asked.write.read_text(), table(found) + "\n", MARKS))
    return 0 if found.is_twice else 1


if __name__ == "__main__":
    sys.exit(main())
