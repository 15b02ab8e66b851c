"""The demo's backend: it answers every request with what reached it, so that one sees what the gateway changed.

It listens only on 127.0.0.1: anybody who can send it a request can also forge every identity header.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from gateway.demo.places import HOST

_BODY_MAX_BYTES = 2**20
_SHUTDOWN_S = 1.0


class EchoBackend:
    """Serves from `start` to `stop`. `port=0` takes a free port; `requests` counts the requests."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.requests = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises `OSError` where the port is taken."""
        app = web.Application(client_max_size=_BODY_MAX_BYTES)
        app.router.add_route("*", "/{path:.*}", self._echo)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, self.port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _echo(self, request: web.Request) -> web.Response:
        self.requests += 1
        seen: dict[str, Any] = {"method": request.method, "path": request.raw_path, "headers": _headers(request)}
        if body := await request.read():
            seen["body"] = body.decode(errors="replace")
        # For people: indented, and with a line end before their prompt.
        return web.Response(text=json.dumps(seen, indent=2) + "\n", content_type="application/json")


def _headers(request: web.Request) -> dict[str, str]:
    """The header fields as they came. Fields of one name are joined, which RFC 9110 §5.3 allows to every recipient."""
    seen: dict[str, tuple[str, str]] = {}
    for name, value in request.headers.items():
        first, before = seen.get(name.lower(), (name, None))
        seen[name.lower()] = (first, value if before is None else f"{before}, {value}")
    return dict(seen.values())
