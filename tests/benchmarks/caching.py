"""Draws docs/caching.svg: `python tests/benchmarks/caching.py`. Some minutes, and the same drawing every time.

Provider calls, and how long a revoked token goes on working, against the number of processes in a fleet: for a cache
in each process, and for this gateway with Redis, with answers asked for ahead, and with events.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

SIZES = (1, 2, 4, 8, 16, 32, 64)
TOKENS = 50
EACH_S = 0.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=TOKENS, help=f"how many (default: {TOKENS})")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "docs" / "caching.svg")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.caching_drawing import Panel, draw
    from benchmarks.caching_run import WINDOW_S, Kind, simulate

    kinds = (
        Kind("a cache in each process"),
        Kind("this gateway with Redis", shared=True),
        Kind("this gateway with Redis and refresh_ahead: 0.8", shared=True, ahead=0.8),
        Kind("this gateway with Redis and events", shared=True, events=True),
    )
    calls: dict[str, list[float]] = {}
    stale_s: dict[str, list[float]] = {}
    print(f"{'':52}" + "".join(f"{size:>16}" for size in SIZES))
    for kind in kinds:
        found = [simulate(kind, size, tokens=asked.tokens, each_s=EACH_S, seed=1) for size in SIZES]
        calls[kind.name] = [figures.calls for figures in found]
        stale_s[kind.name] = [figures.stale_s for figures in found]
        print(f"{kind.name:52}" + "".join(f"{each.calls:8.2f} {each.stale_s:5.1f} s" for each in found), flush=True)
    panels = (
        Panel("Provider calls for a token in use, per window", calls, (0.5, 1, 2, 4, 8, 16, 32, 64), doubles=True),
        Panel("A revoked token works on for, seconds", stale_s, tuple(range(0, int(WINDOW_S) + 1, 10)), doubles=False),
    )
    asked.out.write_text(draw(SIZES, panels, "processes in the fleet"), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
