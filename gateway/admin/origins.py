"""CORS of the admin listener (`admin.cors`), through aiohttp-cors.

The application is built once, and a reload may change the origins. So they are looked up at each request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from aiohttp import web
from aiohttp_cors import CorsConfig, ResourceOptions
from aiohttp_cors.urldispatcher_router_adapter import ResourcesUrlDispatcherRouterAdapter

# Without credentials: a page must hold the admin token and send it in a header; a browser adds no cookie.
_OPTIONS = ResourceOptions(  # type: ignore[no-untyped-call] # it has no annotations
    allow_credentials=False,
    allow_methods=("GET", "HEAD", "POST", "DELETE"),
    allow_headers=("Authorization", "Content-Type"),
    max_age=600,
)


class _Origins(Mapping[str, object]):
    def __init__(self, current: Callable[[], tuple[str, ...]]) -> None:
        self._current = current

    def __getitem__(self, origin: str) -> object:
        if origin not in self._current():
            raise KeyError(origin)
        return _OPTIONS

    def __iter__(self) -> Iterator[str]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())


def allow_origins(app: web.Application, current: Callable[[], tuple[str, ...]]) -> None:
    """Answer preflights and add CORS headers to responses, on every resource that `app` has by now."""
    adapter = ResourcesUrlDispatcherRouterAdapter(app.router, _Origins(current))
    cors = CorsConfig(app, router_adapter=adapter)
    for resource in list(app.router.resources()):
        cors.add(resource)
