"""How long a revoked token lives: from an event sent to one instance until every worker of the fleet refuses.

    python tests/benchmarks/revocation.py [--instances 4] [--workers 2] [--rounds 100] [--without-redis]

Every worker has the token in its own memory, for an hour; each is asked for it every few milliseconds.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.redis_server import RedisServer, running
from support.revoked import fleet_of


async def measure(arguments: argparse.Namespace, folder: Path, cache: dict[str, str]) -> dict[str, list[list[float]]]:
    """For each way, and each round, how long each worker took."""
    took: dict[str, list[list[float]]] = {"logout": [], "event": []}
    async with fleet_of(folder, arguments.instances, arguments.workers, cache) as fleet:
        for number in range(arguments.rounds):
            way = ("logout", "event")[number % 2]
            user = f"u{number}"
            await fleet.warm(f"{user}.1")
            gateway = fleet.gateways[number % len(fleet.gateways)]
            took[way].append(await fleet.refused_after_s(gateway, way, user, f"{user}.1"))
            await asyncio.sleep(0.02)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description="How long a revoked token lives in a fleet.")
    parser.add_argument("--instances", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--without-redis", action="store_true", help="one instance")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cache: dict[str, str] = {}
        if arguments.without_redis:
            arguments.instances = 1
        else:
            server = RedisServer()
            stack.enter_context(running(server))
            cache = {"redis": server.url, "secret": "secret-of-the-benchmark"}
        took = asyncio.run(measure(arguments, folder, cache))
    print(f"{arguments.instances} x {arguments.workers} workers, {arguments.rounds} rounds, milliseconds")
    print(f"{'event':10} {'by':22} {'median':>8} {'p95':>8} {'max':>8}")
    for way, rounds in took.items():
        for by, values in (
            ("any worker", [one for each in rounds for one in each]),
            ("all workers", [max(each) for each in rounds]),
        ):
            ms = sorted(1000 * value for value in values)
            p95 = ms[int(0.95 * (len(ms) - 1))]
            print(f"{way:10} {by:22} {statistics.median(ms):8.1f} {p95:8.1f} {ms[-1]:8.1f}")


if __name__ == "__main__":
    main()
