"""The same exchange through nginx in the gateway's place and through the gateway; what backend and client saw.

`python tests/foreign/in_nginx_place.py` prints, as markdown, what differs: first at a backend that keeps what it gets
and answers by script, then at each real server that is there. One exchange at a time, on loopback.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from foreign.side_by_side.places import BESIDES, DEFAULT, NGINX, proxies
from foreign.side_by_side.seen import differences, exchanged
from foreign.side_by_side.trials import Trial, scripted, to_real_servers
from support.backend import Backend
from support.real_servers import ALL, CONFIGURED, files_in, running
from support.redis_server import free_port


async def compare(addresses: dict[str, Any], trials: list[Trial], backend: Backend | None) -> None:
    """Print what differs, but for what differs everywhere."""
    for trial in trials:
        seen = {name: await exchanged(address, trial, backend) for name, address in addresses.items()}
        rows = {name: differences(seen[NGINX], seen[name]) for name in BESIDES}
        if rows[BESIDES[0]] == rows[BESIDES[1]]:
            rows = {"both": rows[BESIDES[0]]}
        for name, row in rows.items():
            for what, (theirs, ours) in row.items():
                if (name, what) != (DEFAULT, "told host"):  # the backend's own, each time
                    print(f"| {trial.name} | {name} | {what} | {theirs[:90]} | {ours[:90]} |", flush=True)


async def at_the_script(folder: Path) -> None:
    backend = Backend()
    await backend.start()
    try:
        async with proxies(backend.port, folder) as addresses:
            await compare(addresses, scripted(backend.url), backend)
    finally:
        await backend.stop()


async def at_real_servers(folder: Path, wanted: list[str]) -> None:
    for server in (*ALL, *CONFIGURED):
        if wanted and server.__name__ not in wanted:
            continue
        port, own = free_port(), folder / server.__name__
        own.mkdir()
        print(f"\n## {server.__name__}\n")
        try:
            command = await server(port, own)
        except pytest.skip.Exception as reason:
            print(f"not tried: {reason}")
            continue
        files_in(own)
        async with running(command, port, own), proxies(port, own) as addresses:
            await compare(addresses, to_real_servers(), None)


async def main(wanted: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not wanted or "script" in wanted:
            await at_the_script(folder)
        if wanted != ["script"]:
            await at_real_servers(folder, wanted)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
