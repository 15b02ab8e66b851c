"""What the limits of a fleet promise, measured: `python tests/benchmarks/limits.py`. About a minute and a half.

Four gateways of two workers each share one limit of 100 requests a second in one Redis. Callers above, at, below and
far below the rate spread over all of them; then Redis is killed while they go on, and one far above comes. The table
says what was to be and what was; the exit status is 1 where they differ.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.fleet import Fleet

RATE = 100
GATEWAYS = 4
FAR_ABOVE = 6.0 * RATE
RATES = {"above": 2.0 * RATE, "at": 0.98 * RATE, "below": 0.5 * RATE, "far-below": 0.04 * RATE}
_Row = tuple[str, str, str, bool]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="with Redis (default: 60)")
    parser.add_argument("--alone", type=float, default=15.0, help="and then without it, in seconds (default: 15)")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    return 0 if asyncio.run(_run(asked.seconds, asked.alone)) else 1


async def _run(for_s: float, alone_s: float) -> bool:
    from support.fleet import fleet
    from support.limit_load import load

    limits = {"per-user": {"rate": f"{RATE}/1s", "by": "sub"}}
    with tempfile.TemporaryDirectory(prefix="limits-") as folder:
        async with fleet(
            Path(folder), gateways=GATEWAYS, workers=2, limits=limits, cache={"timeout": "200ms"}
        ) as served:
            await load(served, RATES, 2.0)  # the tokens are known, the demand is
            await asyncio.sleep(2.0)  # and every bucket is full again
            before = await served.borrowed()
            statuses, took_s = await load(served, RATES, for_s)
            trips = await served.borrowed() - before
            rows = [*_shared(statuses, took_s), _round_trips(trips, statuses.total())]
            rows.append(await _trips_far_below(for_s / 4, served))
            killing = asyncio.create_task(_kill(served, alone_s / 3))
            statuses, took_s = await load(served, RATES, alone_s)
            await killing
            rows += _alone(statuses, took_s)
            rows.append(await _far_above(served, alone_s / 3))
    print("| | was to be | was | |\n| --- | --- | --- | --- |")
    for case, wanted, found, is_sound in rows:
        print(f"| {case} | {wanted} | {found} | {'as promised' if is_sound else 'NOT as promised'} |")
    return all(is_sound for *_, is_sound in rows)


async def _kill(served: Fleet, after_s: float) -> None:
    await asyncio.sleep(after_s)
    served.redis.kill()


def _shared(statuses: Counter[tuple[str, int]], took_s: float) -> list[_Row]:
    rows = []
    for who, rate in RATES.items():
        passed, refused = statuses[who, 200], statuses[who, 429]
        # The bucket was full when it began: one burst beside the rate.
        wanted = min(rate * took_s, RATE * (took_s + 1))
        share = passed / wanted
        is_sound = 0.95 <= share <= 1.05 and (rate > RATE / 2 or not refused)
        found = f"{passed} ({share - 1:+.1%}), {refused} times 429"
        rows.append((f"{who}: {rate:.0f}/s", f"{wanted:.0f} let in", found, is_sound))
    others = statuses.total() - sum(count for (_, status), count in statuses.items() if status in {200, 429})
    return [*rows, ("other answers", "0", f"{others}", others == 0)]


def _round_trips(trips: int, requests: int) -> _Row:
    return "round trips to Redis for a request", "less than 0.5", f"{trips / requests:.2f}", trips < requests / 2


async def _trips_far_below(for_s: float, served: Fleet) -> _Row:
    from support.limit_load import load

    before = await served.borrowed()
    statuses, _ = await load(served, {"far-below": RATES["far-below"]}, for_s)
    trips = await served.borrowed() - before
    return "of the one far below alone", "at most 1", f"{trips / statuses.total():.2f}", trips <= statuses.total()


def _alone(statuses: Counter[tuple[str, int]], took_s: float) -> list[_Row]:
    failed = statuses.total() - sum(count for (_, status), count in statuses.items() if status in {200, 429})
    times = statuses["above", 200] / (RATE * took_s)
    refused = statuses["below", 429] + statuses["far-below", 429]
    return [
        ("Redis killed: requests that fail", "0", f"{failed} of {statuses.total()}", failed == 0),
        ("Redis killed: the one above has", "at most 2 times the rate", f"{times:.2f}", times <= 2),
        ("Redis killed: those below are refused", "never", f"{refused} times", refused == 0),
    ]


async def _far_above(served: Fleet, for_s: float) -> _Row:
    """Its bucket was never used: it has a burst beside the rate."""
    from support.limit_load import load

    statuses, took_s = await load(served, {"far-above": FAR_ABOVE}, for_s)
    passed = statuses["far-above", 200]
    times = passed / (RATE * (took_s + 1))
    case = f"Redis killed: one who comes new and asks for {FAR_ABOVE:.0f}/s has"
    return case, "at most 2 times the rate and a burst", f"{times:.2f}", times <= 2


if __name__ == "__main__":
    sys.exit(main())
