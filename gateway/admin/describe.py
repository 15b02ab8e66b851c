"""Describes the routes for `GET /routes`, without any value that may be a secret.

Header values are left out: `request_headers.set` may hold keys for backends.
"""

from __future__ import annotations

from typing import Any

from gateway.config.backend_model import BackendSettings
from gateway.config.keys import ConfigKey, keys_of_model
from gateway.config.model import Config
from gateway.config.model_base import Model
from gateway.config.route_model import Route


def describe(config: Config) -> list[dict[str, Any]]:
    """One JSON-able object for each route, in the order of the file."""
    return [_route(route) for route in config.routes]


class Description:
    """Describes a configuration once, however often it is asked for: it takes nearly a millisecond for each route."""

    def __init__(self) -> None:
        self._config: Config | None = None
        self._routes: list[dict[str, Any]] = []

    def of(self, config: Config) -> list[dict[str, Any]]:
        if config is not self._config:
            self._config, self._routes = config, describe(config)
        return self._routes


def _route(route: Route) -> dict[str, Any]:
    return {
        "name": route.name,
        "match": {key.name: _shown(getattr(route.match, key.name)) for key in keys_of_model(type(route.match))},
        "backend": [_backend(one) for one in route.backend],
        "strip_prefix": _shown(route.strip_prefix),
        "rewrite": _shown(route.rewrite),
        "auth": {"mode": route.auth.mode, **_demands(route.auth)},
    }


def _backend(one: BackendSettings) -> Any:
    """As the file may have it: its URL alone, where nothing else is said of it."""
    more = {name: value for name, value in _demands(one).items() if name != "url"}
    return {"url": str(one.url), **more} if more else str(one.url)


def _demands(settings: Model) -> dict[str, Any]:
    """Every key that says something else than its default, but for secrets. Durations are seconds, and say so."""
    keys = [key for key in keys_of_model(type(settings)) if not (key.is_secret or key.is_content)]
    values = {
        _unit(key): (getattr(settings, key.name), key.field.get_default(call_default_factory=True)) for key in keys
    }
    return {name: _shown(value) for name, (value, default) in values.items() if value != default}


def _unit(key: ConfigKey) -> str:
    return f"{key.name}_s" if key.is_duration else key.name


def _shown(value: object) -> Any:
    """`value` for JSON. A value that has no text of its own is only said to be there."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case tuple():
            return [_shown(item) for item in value]
        case dict():
            return {str(name): _shown(item) for name, item in value.items()}
        case Model():
            return _demands(value)
        case _:
            return str(value) if type(value).__str__ is not object.__str__ else True
