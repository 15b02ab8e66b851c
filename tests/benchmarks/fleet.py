"""What the fleet's cache promises, measured: `python tests/benchmarks/fleet.py`. About two minutes.

Four gateways of two workers each, `gateway serve` processes around one Redis and one provider that counts. The table
says what was to be and what was; the exit status is 1 where they differ.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.fleet import Fleet

CONNECTIONS = 48


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=500, help="at once, with one fresh token (default: 500)")
    parser.add_argument("--tokens", type=int, default=200, help="in steady use (default: 200)")
    parser.add_argument("--seconds", type=float, default=60.0, help="for so long (default: 60)")
    parser.add_argument("--window", type=float, default=5.0, help="cache.ttl then, in seconds (default: 5)")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    return 0 if asyncio.run(_run(asked)) else 1


async def _run(asked: argparse.Namespace) -> bool:
    from support.fleet import fleet

    rows = []
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        place = Path(folder)
        async with fleet(place, provider_keys={"timeout": "10s"}) as served:
            rows.append(await _at_once(served, asked.requests))
        async with fleet(place, cache={"ttl": _duration(asked.window)}) as served:
            rows.append(await _windows(served, asked.tokens, asked.seconds, asked.window))
        ahead = {"ttl": "2s", "refresh_ahead": 0.8}
        async with fleet(place, cache=ahead, access_log=True) as served:
            rows.append(await _ahead(served, 10 * 2.0))
    for case, wanted, found, is_sound in rows:
        print(f"| {case} | {wanted} | {found} | {'as promised' if is_sound else 'NOT as promised'} |")
    return all(is_sound for *_, is_sound in rows)


_Row = tuple[str, str, str, bool]


async def _at_once(served: Fleet, requests: int) -> _Row:
    from support.fleet import ask

    served.provider.delay_s = 0.2
    clients = await served.connect(requests)
    statuses = await asyncio.gather(*(ask(client, "fresh") for client in clients))
    calls = served.calls["fresh"]
    is_sound = calls == 1 and statuses == [200] * requests
    return f"{requests} requests at once with one fresh token", "1 call", f"{calls}", is_sound


async def _windows(served: Fleet, tokens: int, seconds: float, window_s: float) -> _Row:
    from support.fleet import keep_asking

    served.provider.delay_s = 0.01
    clients = await served.connect(CONNECTIONS)
    names = [f"user-{number}" for number in range(tokens)]
    # Often, and out of step with the window, whose last request would else come now before its end and now behind it.
    took_s = await keep_asking(clients, names, every_s=0.23, for_s=seconds)
    calls, wanted = served.calls.total(), round(tokens * seconds / window_s)
    alone = (await served.turns())["unavailable"]
    # A window begins with its call: what a call takes is missing at the window's end.
    call_s = await served.call_s()
    found = (
        f"{calls} ({calls / wanted - 1:+.1%}), {alone} of them while Redis was too slow; a call took {call_s:.3f} s of "
        f"its window; {len(took_s)} requests"
    )
    case = f"{tokens} tokens for {seconds:g} s, window {window_s:g} s"
    return case, f"{wanted} calls, within 5 %", found, abs(calls / wanted - 1) <= 0.05


async def _ahead(served: Fleet, seconds: float) -> _Row:
    from support.fleet import ask, keep_asking

    served.provider.delay_s = 0.1
    clients = await served.connect(CONNECTIONS)
    await ask(clients[0], "hot")
    took_s = await keep_asking(clients, ["hot"], every_s=0.01, for_s=seconds)
    for gateway in served.gateways:
        await gateway.stop()
    decided = served.decided_by()
    found = f"{decided['provider'] - 1} of {len(took_s)} waited, {served.calls['hot']} calls"
    case = "a hot token over 10 windows of 2 s, refresh_ahead 0.8"
    return case, "none waits after the first", found, decided["provider"] == 1


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


if __name__ == "__main__":
    sys.exit(main())
