"""Proxies as `deploy/beside` configures them, started on free ports before a backend and beside a gateway.

`started` runs one. Its files are copied, and their ports replaced: 8080 of the proxy, 8000 of the backend, 9191 of the
gateway's decisions listener.
"""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import os
import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.istio_envoy import envoy_text
from support.needed import missing
from support.redis_server import free_port

BESIDE = Path(__file__).parents[2] / "deploy" / "beside"
APACHE_MODULES = Path("/usr/lib/apache2/modules")
STARTED_WITHIN_S = 30.0
PROXIES = ("nginx", "haproxy", "apache", "envoy", "istio", "caddy", "traefik")
# These cannot be had from Debian or PyPI, and are tried where somebody names the program.
NAMED = {"caddy": "CADDY", "traefik": "TRAEFIK"}


def program_of(proxy: str) -> str:
    """Its path; the test is skipped where there is none."""
    proxy = "envoy" if proxy == "istio" else proxy
    name = {"apache": "apache2"}.get(proxy, proxy)
    found = os.environ.get(proxy.upper()) or shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None and proxy == "envoy":
        spec = importlib.util.find_spec("envoy")
        carried = None if spec is None or spec.origin is None else Path(spec.origin).parent / "_bin" / "envoy"
        found = str(carried) if carried is not None and carried.exists() else None
    if found is not None:
        return found
    if proxy in NAMED:
        pytest.skip(f"there is no {proxy} on this machine; name one in {NAMED[proxy]}")
    return missing(f"there is no {proxy} on this machine")


def command_of(proxy: str, folder: Path) -> list[list[str]]:
    """The commands that make it up."""
    program = program_of(proxy)
    match proxy:
        case "nginx":
            own = f"daemon off; pid {folder}/nginx.pid;"
            return [[program, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", own]]
        case "haproxy":
            return [[program, "-db", "-f", str(folder / "haproxy.cfg")]]
        case "apache":
            asking = [sys.executable, "authorizer.py", *_authorizer_places(folder)]
            return [asking, [program, "-DFOREGROUND", "-d", str(folder), "-f", str(folder / "apache.conf")]]
        case "caddy":
            return [[program, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]]
        case "traefik":
            return [[program, f"--configFile={folder / 'traefik.yaml'}"]]
        case _:
            config = str(folder / "envoy.yaml")
            return [[program, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error", "-c", config]]


@asynccontextmanager
async def started(proxy: str, folder: Path, decisions: int, backend: int) -> AsyncIterator[int]:
    """The port of the proxy. Another program may take a port that was free, so it is tried three times."""
    program_of(proxy)
    for tries_left in (2, 1, 0):
        port = free_port()
        try:
            processes = await _processes(proxy, folder, {"8080": port, "8000": backend, "9191": decisions})
        except EarlyEndError:
            if not tries_left:
                raise
        else:
            break
    try:
        yield port
    finally:
        await _stop(processes)


class EarlyEndError(Exception):
    """A program has ended before it served."""


async def _processes(proxy: str, folder: Path, numbers: dict[str, int]) -> list[asyncio.subprocess.Process]:
    """Those that make it up, once it serves."""
    numbers = {**numbers, "9192": free_port()}
    texts = {file.name: file.read_text() for file in (BESIDE / proxy).iterdir()}
    if proxy == "istio":
        texts["envoy.yaml"] = envoy_text(BESIDE / proxy)
    for name, text in texts.items():
        own = re.sub(r"\b(8080|8000|9191|9192)\b", lambda found: str(numbers[found[1]]), text)
        (folder / name).write_text(own)
    processes = [await asyncio.create_subprocess_exec(*command, cwd=folder) for command in command_of(proxy, folder)]
    try:
        await _until_served(proxy, processes, numbers)
    except BaseException:
        await _stop(processes)
        raise
    return processes


async def _until_served(proxy: str, processes: list[asyncio.subprocess.Process], numbers: dict[str, int]) -> None:
    port = numbers["8080"]
    ports = (port, *([numbers["9192"]] if proxy == "apache" else []))
    async with asyncio.timeout(STARTED_WITHIN_S):
        while not all(map(_listens, ports)) or (proxy == "traefik" and await asyncio.to_thread(_has_no_router, port)):
            if any(process.returncode is not None for process in processes):
                raise EarlyEndError(proxy)
            await asyncio.sleep(0.05)


async def _stop(processes: list[asyncio.subprocess.Process]) -> None:
    for process in processes:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _authorizer_places(folder: Path) -> list[str]:
    """Where it listens and whom it asks, as its own text says."""
    found = re.search(r"authorizer\.py (\S+) (\S+)", (folder / "authorizer.py").read_text())
    assert found is not None
    return [found[1], found[2]]


def _has_no_router(port: int) -> bool:
    """Traefik listens before it has read its dynamic configuration, and has a plain 404 for everything until then."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STARTED_WITHIN_S)
    connection.request("TRACE", "/")  # which the gateway always refuses
    answer = connection.getresponse()
    connection.close()
    return answer.status == 404 and (answer.getheader("Content-Type") or "").startswith("text/plain")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
