"""CORS of the admin listener (`admin.cors`), through aiohttp-cors, with the origins of the moment.

A reload may change them, and the application is built once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from aiohttp import web
from aiohttp_cors import CorsConfig, ResourceOptions
from aiohttp_cors.urldispatcher_router_adapter import ResourcesUrlDispatcherRouterAdapter

# No credentials mode: the admin token is a header that a page must hold, never a cookie that a browser adds.
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
    """Answer preflights and mark answers on every resource that `app` has by now."""
    adapter = ResourcesUrlDispatcherRouterAdapter(app.router, _Origins(current))
    cors = CorsConfig(app, router_adapter=adapter)
    for resource in list(app.router.resources()):
        cors.add(resource)
