"""nginx in the gateway's place, and two gateways, before one server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template
from typing import Any

from support.lanes import FAST, lane_keys
from support.real_servers import found, running
from support.redis_server import free_port
from support.running_gateway import configuration, gateways

CONFIGURATION = Path(__file__).parents[1] / "proxies" / "nginx_in_place.conf"
NGINX = "nginx"
BESIDES = DEFAULT, KEPT = "gateway", "gateway, preserve_host"


@asynccontextmanager
async def proxies(backend_port: int, folder: Path, lane: str = FAST) -> AsyncIterator[dict[str, Any]]:
    """The addresses of nginx and of two gateways before the server on this port."""
    port = free_port()
    config = folder / "in_place.conf"
    values = {"folder": folder, "port": port, "backend": backend_port}
    config.write_text(Template(CONFIGURATION.read_text()).substitute(values))
    command = [found("nginx"), "-p", str(folder), "-c", str(config)], dict[str, str]()
    async with running(command, port), gateways() as start:
        ours = {name: (await start(_text(backend_port, lane, keeps=name == KEPT))).address for name in BESIDES}
        yield {NGINX: ("127.0.0.1", port), **ours}


def _text(backend_port: int, lane: str, *, keeps: bool) -> str:
    route = {"backend": f"http://127.0.0.1:{backend_port}", "auth": "none", "preserve_host": keeps}
    routes = [
        {"name": "shop", "match": {"path": "/shop/**"}, "strip_prefix": "/shop", **route},
        {"name": "plain", **route},
    ]
    return configuration(providers={}, routes=routes, server=lane_keys(lane))
