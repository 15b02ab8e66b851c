"""Preflights through aiohttp-cors (Fetch standard §3.2), whose router adapter is told what the gateway's own table
decided. What is said to requests that are none stands in `gateway.proxy.added_fields`.

aiohttp-cors asks the adapter which configuration belongs to a request; the response is the route that the pipeline
matched, left on the request under a typed key because the library passes nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp_cors
from aiohttp import web
from aiohttp_cors.abc import AbstractRouterAdapter

from gateway.compiled import CompiledRoute
from gateway.config.route_model import Cors
from gateway.http.refusal import Refusal, challenge

_ROUTE = web.RequestKey("route", CompiledRoute)
_PREFLIGHT = web.RequestKey("preflight", bool)
_ANY = "*"

Options = Mapping[str, Any]  # origin -> aiohttp_cors.ResourceOptions


class RouteCors(AbstractRouterAdapter):
    """The adapter of one application."""

    def __init__(self, app: web.Application) -> None:
        self._preflight_handler: Any = None
        self._config = aiohttp_cors.CorsConfig(app, router_adapter=self)
        self._config.add(None)

    async def preflight(self, request: web.Request, route: CompiledRoute) -> web.StreamResponse | Refusal:
        """The response to a preflight for `route`."""
        request[_ROUTE] = route
        request[_PREFLIGHT] = True
        try:
            response: web.StreamResponse = await self._preflight_handler(request)
        except web.HTTPForbidden:
            # Its text quotes what the client sent; ours does not.
            return challenge("forbidden", "the origin, the method or a header is not allowed here")
        response.set_status(204)
        _name_all_that_is_allowed(response, route.cors)
        if _ANY in _cors_of(request).allow_origins:
            # aiohttp-cors echoes the origin, `null` among them; a public resource says so and stays cacheable.
            response.headers["Access-Control-Allow-Origin"] = _ANY
        response.headers.add("Vary", "Origin")
        return response

    # What follows is called by aiohttp-cors.

    def add_preflight_handler(self, _entity: Any, handler: Any, webview: bool = False) -> None:  # noqa: ARG002
        self._preflight_handler = handler

    def set_config_for_routing_entity(self, entity: Any, config: Any) -> None:
        """Nothing to record: configurations come with the routes."""

    def is_preflight_request(self, request: web.Request) -> bool:
        return bool(request.get(_PREFLIGHT))

    def is_cors_enabled_on_request(self, request: web.Request) -> bool:
        route = request.get(_ROUTE)
        return route is not None and route.cors is not None

    async def get_preflight_request_config(
        self, preflight_request: web.Request, origin: str, requested_method: str
    ) -> Options:
        _ = origin  # the options are keyed by it
        methods = _cors_of(preflight_request).allow_methods
        if requested_method not in methods and _ANY not in methods:
            raise KeyError(requested_method)  # the library expects this; it reads only the headers of the options
        return self.get_non_preflight_request_config(preflight_request)

    def get_non_preflight_request_config(self, request: web.Request) -> Options:
        return _options(_cors_of(request))


def _options(cors: Cors) -> Options:
    options = aiohttp_cors.ResourceOptions(  # type: ignore[no-untyped-call]
        allow_credentials=cors.allow_credentials,
        expose_headers=cors.expose_headers,
        allow_headers=_ANY if _ANY in cors.allow_headers else cors.allow_headers,
        allow_methods=cors.allow_methods,
        max_age=None if cors.max_age is None else int(cors.max_age),
    )
    return dict.fromkeys(cors.allow_origins, options)


def _cors_of(request: web.Request) -> Cors:
    cors = request[_ROUTE].cors
    assert cors is not None  # is_cors_enabled_on_request was asked first
    return cors


def _name_all_that_is_allowed(response: web.StreamResponse, cors: Cors | None) -> None:
    """A browser keeps what it is told for `max_age`; the library names no more than it was asked for."""
    assert cors is not None  # otherwise the decision is not a preflight
    if _ANY not in cors.allow_methods:
        response.headers["Access-Control-Allow-Methods"] = ", ".join(cors.allow_methods)
    if cors.allow_headers and _ANY not in cors.allow_headers:
        response.headers["Access-Control-Allow-Headers"] = ", ".join(cors.allow_headers)
