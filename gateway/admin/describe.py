"""The routes as `GET /routes` shows them: what an operator looks for, and no value that may be a secret.

Header values are left out: `request_headers.set` is where keys for backends stand.
"""

from __future__ import annotations

from typing import Any

from gateway.config.model import Config
from gateway.config.route_model import Auth, Route


def describe(config: Config) -> list[dict[str, Any]]:
    """One JSON-able object for each route, in the order of the file."""
    return [_route(route) for route in config.routes]


def _route(route: Route) -> dict[str, Any]:
    match = route.match
    return {
        "name": route.name,
        "match": {
            "host": None if match.host is None else str(match.host),
            "path": str(match.path),
            "methods": None if match.methods is None else list(match.methods),
        },
        "backend": [str(backend) for backend in route.backend],
        "strip_prefix": None if route.strip_prefix is None else str(route.strip_prefix),
        "rewrite": None if route.rewrite is None else str(route.rewrite),
        "auth": _auth(route.auth),
    }


def _auth(auth: Auth) -> dict[str, Any]:
    """What a token must show; requirements that are not made are left out."""
    asked = {
        "provider": list(auth.provider),
        "scopes": list(auth.scopes),
        "any_scope": list(auth.any_scope),
        "audience": list(auth.audience),
        "issuer": auth.issuer,
        "roles": list(auth.roles),
        "claims": [".".join(rule.path) for rule in auth.claims],
        "proof": None if auth.proof == "if_bound" else auth.proof,
        "max_age_s": auth.max_age,
    }
    return {"mode": auth.mode, **{name: value for name, value in asked.items() if value not in (None, [])}}
