"""Where a comparison takes place: a folder for files, the ports of what stands behind the proxies, the cores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.comparison.cores import Cores
from benchmarks.comparison.server import Server
from support.redis_server import free_port


@dataclass(frozen=True)
class Place:
    """`provider_tls_port` and `redis_port` are 0 where there is none.

    The rest is for the gateway. `routes`: one route for each of so many first segments of the mixed load; with 0 one
    route takes everything. `has_cors`: what is below `/cors` has CORS. `has_credentials`: for what is below
    `/exchanged` and `/signed` the backend gets an exchanged token or a signed identity. `workers`: how many it has.
    """

    folder: Path
    cores: Cores
    backend_port: int = 0
    provider_port: int = 0
    provider_tls_port: int = 0
    redis_port: int = 0
    routes: int = 0
    has_cors: bool = False
    has_credentials: bool = False
    workers: int = 1

    def below(self, name: str) -> Place:
        """The same with a folder of its own, made empty."""
        folder = self.folder / name
        folder.mkdir(parents=True)
        return replace(self, folder=folder)

    def proxy(self, name: str, command: list[str], port: int) -> Server:
        return Server(name, command, port, self.folder / "output.log", self.cores.proxy)

    def helper(self, name: str, command: list[str], port: int) -> Server:
        return Server(name, command, port, self.folder / f"{name}.log", self.cores.load)


def port() -> int:
    return free_port()
