"""How much older than fresh facts may be where the provider cannot tell, as the routes say (`stale_if_error`)."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.config.auth_model import Auth
from gateway.config.route_model import Route


def tolerances_s(auth: Auth) -> dict[str, float]:
    """How much older than fresh ones facts may be, by method; what is left out tolerates none.

    `GET` stands for `HEAD` too.
    """
    if not auth.stale_if_error:
        return {}
    methods = (*auth.stale_methods, "HEAD") if "GET" in auth.stale_methods else auth.stale_methods
    return dict.fromkeys(methods, auth.stale_if_error)


def longest_tolerated_s(routes: Iterable[Route], providers: Iterable[str]) -> dict[str, float]:
    """For how long each provider's facts are of use to some route when they are no longer fresh; 0 is left out."""
    longest: dict[str, float] = {}
    every = tuple(providers)
    for route in routes:
        if route.auth.mode == "none" or not route.auth.stale_if_error:
            continue
        for name in route.auth.provider or every:
            longest[name] = max(longest.get(name, 0.0), route.auth.stale_if_error)
    return longest
