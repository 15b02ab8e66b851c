"""Finds problems between the sections of a file: equal names, routes that tie, providers that nobody configured.

Each check looks only at keys without problems of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.check_client_tls import problems_of_backend_tls, problems_of_provider_tls
from gateway.config.check_decisions import problems_of_decisions
from gateway.config.check_events import problems_of_events
from gateway.config.check_grants import problems_of_grants
from gateway.config.check_introspection import problems_of_introspection
from gateway.config.check_listeners import problems_of_key, problems_of_listeners, problems_of_nonces
from gateway.config.check_realms import problems_of_realms
from gateway.config.check_resources import problems_of_resources
from gateway.config.check_routes import problems_of_defaults, problems_of_limits, problems_of_route
from gateway.config.check_signing import problems_of_signing
from gateway.config.check_tokens import problems_of_tokens
from gateway.config.problems import Problem
from gateway.config.route_model import Route
from gateway.config.sections import Section, Sections
from gateway.http.header_names import fold_header_name, folded

_UNMATCHED = "none"  # the label of requests that no route matched


def problems_across(sections: Sections) -> Iterator[Problem]:
    """Every problem between the sections of a file."""
    yield from problems_of_listeners(sections.sections["server"], sections.sections["admin"])
    yield from problems_of_nonces(sections.sections["server"], sections.sections["cache"])
    for provider in sections.providers.values():
        yield from problems_of_key(provider)
        yield from problems_of_provider_tls(provider)
        yield from problems_of_introspection(provider)
        yield from problems_of_realms(provider)
    if sections.defaults is not None:
        yield from problems_of_defaults(sections.defaults)
    yield from _names(sections.routes)
    yield from _ties(sections.routes)
    yield from _without_provider(sections)
    yield from problems_of_events(sections)
    yield from problems_of_signing(sections)
    yield from problems_of_decisions(sections)
    yield from _trusted_headers(sections)
    yield from problems_of_tokens(sections)
    yield from problems_of_resources(sections.routes)
    for route in sections.routes:
        yield from problems_of_route(route, sections.provider_names)
        yield from problems_of_grants(route, sections.providers)
        yield from problems_of_limits(route, sections.limit_names)
        yield from problems_of_backend_tls(route)


def _names(routes: list[Section[Route]]) -> Iterator[Problem]:
    first: dict[str, Section[Route]] = {}
    for route in routes:
        if not route.is_valid("name"):
            continue
        name = route.value.name
        if name == _UNMATCHED:
            yield route.origin.problem(("name",), "none is the name of requests that match no route; write another")
        other = first.setdefault(name, route)
        if other is not route:
            line = other.origin.find(("name",)).line
            yield route.origin.problem(("name",), f"the route in line {line} is called {name} as well; write another")


def _ties(routes: list[Section[Route]]) -> Iterator[Problem]:
    """Find routes that match the same requests: none of them is more specific than the other."""
    first: dict[object, Section[Route]] = {}
    for route in routes:
        if not route.is_valid("match"):
            continue
        match = route.value.match
        others = [
            other
            for method in dict.fromkeys(match.methods or (None,))
            if (other := first.setdefault((match.host, match.path.shape, method), route)) is not route
        ]
        if others:
            yield route.origin.problem(("match", "path"), _tie(others[0]))


def _tie(other: Section[Route]) -> str:
    where = f"line {other.origin.find(('match', 'path')).line}"
    name = other.value.name if other.is_valid("name") else "the route"
    same = f"{name} in {where} matches the same requests ({other.value.match.path})"
    return f"{same}; write another host, path or methods in one of them"


def _trusted_headers(sections: Sections) -> Iterator[Problem]:
    """Find names that the gateway removes from every request, so that to trust them has no effect."""
    server = sections.sections["server"]
    if not server.is_valid("trusted_headers"):
        return
    routes = [route for route in sections.routes if route.is_valid("identity")]
    identity = folded(name for route in routes for name in route.value.identity.names)
    for index, name in enumerate(server.value.trusted_headers):
        if fold_header_name(name) in identity:
            what = f"{name} is an identity header, which only the gateway writes; leave it out here"
            yield server.origin.problem(("trusted_headers", index), what)
    header = server.value.client_certificate_header
    if header is not None and fold_header_name(header.name) in identity:
        what = f"{header.name} is an identity header, which only the gateway writes; write another"
        yield server.origin.problem(("client_certificate_header", "name"), what)


def _without_provider(sections: Sections) -> Iterator[Problem]:
    """Report only the first route without a provider, because the remedy is the same for all."""
    if sections.provider_names is None or sections.provider_names:
        return
    needy = [
        r
        for r in sections.routes
        if r.is_valid_within("auth", "mode", "provider") and r.value.auth.mode != "none" and not r.value.auth.provider
    ]
    if needy:
        more = f" (and {len(needy) - 1} more)" if len(needy) > 1 else ""
        what = f"tokens are asked about at a provider, and none is configured; write providers:, or auth: none{more}"
        found = needy[0].origin.find(("auth",))
        yield needy[0].origin.problem(("auth",) if not found.inherited else (), what)
