"""`stale_if_error` of the routes: by how much facts may be older than fresh when the provider cannot tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.config.auth_model import Auth
from gateway.config.provider_model import Provider
from gateway.config.realms import names_by_realm
from gateway.config.route_model import Route


def tolerances_s(auth: Auth) -> dict[str, float]:
    """By how much facts may be older than fresh, by method. A method that is left out tolerates no older facts.

    `GET` stands for `HEAD` too.
    """
    if not auth.stale_if_error:
        return {}
    methods = (*auth.stale_methods, "HEAD") if "GET" in auth.stale_methods else auth.stale_methods
    return dict.fromkeys(methods, auth.stale_if_error)


def longest_tolerated_s(routes: Iterable[Route], providers: Mapping[str, Provider]) -> dict[str, float]:
    """For how long some route can use each provider's facts after they were fresh. Leaves out 0."""
    longest: dict[str, float] = {}
    every = tuple(providers)
    for route in routes:
        if route.auth.mode == "none" or not route.auth.stale_if_error:
            continue
        for name in names_by_realm(route.auth.provider or every, providers):
            longest[name] = max(longest.get(name, 0.0), route.auth.stale_if_error)
    return longest
