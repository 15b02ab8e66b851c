"""Apache with mod_oauth2 as a peer that verifies JWTs by the provider's keys: its CPU time, and its fetches of keys."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.cpu_time import cpu_us
from support.redis_server import free_port
from support.scripted_provider import ScriptedProvider
from support.wire import Client, request

_MODULES_FOLDER = Path("/usr/lib/apache2/modules")
_MODULES = ("mpm_event", "unixd", "authn_core", "authz_core", "authz_user", "proxy", "proxy_http", "headers", "oauth2")
_READY_S = 10.0
_LOADED = """\
<IfModule !{name}_module>
    LoadModule {name}_module {folder}/mod_{name}.so
</IfModule>"""
_TEXT = """\
ServerRoot {folder}
ServerName localhost
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
Listen 127.0.0.1:{port}
{modules}
{user}
ErrorLog {folder}/error.log
LogLevel crit
StartServers 1
ServerLimit 1
ThreadsPerChild 64
MaxRequestWorkers 64
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 600
ProxyPass / {backend}/ keepalive=On max=64
<Location />
    AuthType oauth2
    OAuth2TokenVerify jwks_uri {keys}
    OAuth2TargetPass headers=true&prefix=X-
    Require valid-user
    RequestHeader unset Authorization
</Location>
"""


@dataclass
class PeerCost:
    """In microseconds of CPU for one request. `key_fetches` are those that `forged` tokens caused."""

    known_us: float = 0.0
    new_us: dict[str, float] = field(default_factory=dict)
    forged_us: float = 0.0
    forged: int = 0
    key_fetches: int = 0


def is_installed() -> bool:
    return shutil.which("apache2") is not None and (_MODULES_FOLDER / "mod_oauth2.so").exists()


async def measured_peer(
    provider: ScriptedProvider, backend_url: str, folder: Path, cores: frozenset[int], tokens: PeerTokens
) -> PeerCost:
    """What the peer needs for `tokens`, in front of the same backend."""
    cost = PeerCost(forged=len(tokens.forged))
    async with _serving(provider, backend_url, folder, cores) as (address, pids):
        await cpu_us(address, pids, "/jwt/x", tokens.known[:100], {200})
        cost.known_us = await cpu_us(address, pids, "/jwt/x", tokens.known, {200})
        for name, new in tokens.new.items():
            cost.new_us[name] = await cpu_us(address, pids, "/jwt/x", new, {200})
        before = len(provider.key_fetches)
        cost.forged_us = await cpu_us(address, pids, "/jwt/x", tokens.forged, {401})
        cost.key_fetches = len(provider.key_fetches) - before
    return cost


@dataclass(frozen=True)
class PeerTokens:
    """One token many times, new ones by algorithm, and forged ones with a bad signature."""

    known: Sequence[str]
    new: dict[str, Sequence[str]]
    forged: Sequence[str]


@asynccontextmanager
async def _serving(
    provider: ScriptedProvider, backend_url: str, folder: Path, cores: frozenset[int]
) -> AsyncIterator[tuple[tuple[str, int], list[int]]]:
    port = free_port()
    file = _configured(folder, port, backend_url, provider.jwks_uri)
    process = await asyncio.create_subprocess_exec(
        shutil.which("apache2") or "", "-f", str(file), "-DFOREGROUND", stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        await _ready(("127.0.0.1", port))
        pids = [process.pid, *_children(process)]
        _pin(pids, cores)
        yield ("127.0.0.1", port), pids
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


def _configured(folder: Path, port: int, backend_url: str, keys: str) -> Path:
    folder.mkdir()
    folder.chmod(0o777)  # its processes run as another user
    modules = "\n".join(_LOADED.format(name=name, folder=_MODULES_FOLDER) for name in _MODULES)
    user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
    file = folder / "apache.conf"
    values = {"folder": folder, "port": port, "modules": modules, "user": user}
    file.write_text(_TEXT.format(**values, backend=backend_url, keys=keys))
    return file


def _pin(pids: Sequence[int], cores: frozenset[int]) -> None:
    for pid in pids if cores else ():
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


async def _ready(address: tuple[str, int]) -> None:
    async with asyncio.timeout(_READY_S):
        while True:
            try:
                async with await Client.of(address) as client:
                    await client.send(request("GET", "/jwt/x"))
                    assert (await client.answer()).status == 401
                    return
            except OSError:
                await asyncio.sleep(0.05)


def _children(process: Process) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[1]) == process.pid:
            found.append(int(stat.parent.name))
    return found
