"""Warns of keys that have no effect beside another key: the file reads as if it asked for something that it does not.

Each of them is harmless, so it is a warning. What is contradictory, so that a route lets nobody in, is an error
(`gateway.config.check_tokens`). Only what stands in the file is warned of, and in a route only what is its own: a
default may be meant for other routes. A value that turns something off (`null`, `false`, an empty list) asks for
nothing, so it is not warned of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gateway.config.idle_keys import CACHE, PROVIDER, SERVER, IdleKey
from gateway.config.idle_route_keys import ROUTE
from gateway.config.limit_model import LimitSettings
from gateway.config.node import Node, Origin
from gateway.config.problems import Loc, Problem
from gateway.config.route_model import Route
from gateway.config.sections import Section, Sections
from gateway.config.server_model import Server

_TABLES = {"server": SERVER, "cache": CACHE, "providers": PROVIDER, "routes": ROUTE}
_OFF: tuple[object, ...] = (None, (), {}, False)
_BY_ADDRESS = ("address",)


def keys_without_effect(sections: Sections) -> Iterator[Problem]:
    """Each such key of a file that has no problems."""
    for name, table in (("server", SERVER), ("cache", CACHE)):
        yield from _idle(sections.sections[name], table, sections)
    yield from _trusted_proxies(sections.sections["server"], sections)
    for name, provider in sections.providers.items():
        yield from _idle(provider, PROVIDER, sections)
        yield from _unnamed_provider(name, provider.origin, sections)
    for route in sections.routes:
        yield from _idle(route, ROUTE, sections)
    for name, limit in sections.limits.items():
        yield from _limit(name, limit, sections)
    yield from _signing(sections)
    yield from _defaults(sections)


def keys_told() -> set[tuple[str, ...]]:
    """The keys that can be warned of, each with its place in the file."""
    told = {(name, *row.path) for name, table in _TABLES.items() for row in table}
    return told | {
        ("server", "trusted_proxies"),
        ("providers",),
        ("limits",),
        ("limits", "by"),
        ("limits", "on_redis_error"),
        ("signing",),
    }


def _idle(section: Section[Any], table: Iterable[IdleKey], sections: Sections) -> Iterator[Problem]:
    for row in table:
        loc: Loc = row.path
        if loc[0] == "backend":
            loc = ("backend", 0, *loc[1:])  # there is only one
        value = section.value
        for step in loc:
            value = value[step] if isinstance(step, int) else getattr(value, step, None)
            if value in _OFF:
                break
        else:
            if _is_own(section, loc) and row.is_idle(section.value, sections):
                yield section.origin.problem(loc, row.what)


def _is_own(section: Section[Any], loc: Loc) -> bool:
    found = section.origin.find(loc)
    return not found.rest and not found.inherited


def _trusted_proxies(server: Section[Server], sections: Sections) -> Iterator[Problem]:
    """Warn of peers that cannot connect: those of a Unix socket on a port, and networks on a Unix socket."""
    value = server.value
    if sections.decisions is not None or value.proxy_protocol:
        return  # the networks also tell which addresses of X-Forwarded-For are proxies
    is_unix = value.listen.path is not None
    if is_unix and "unix" in value.trusted_proxies:
        return
    for index, peer in enumerate(value.trusted_proxies):
        if is_unix or peer == "unix":
            what = (
                "server.listen is a Unix socket; write unix" if is_unix else "server.listen is a port; write networks"
            )
            yield server.origin.problem(("trusted_proxies", index), f"nobody connects so, because {what}")


def _unnamed_provider(name: str, origin: Origin, sections: Sections) -> Iterator[Problem]:
    named = [used for route in sections.routes for used in _providers_of(route.value)]
    if named and name not in named:
        what = "no route names this provider; name it in auth.provider of a route, or take it out"
        yield origin.problem((), what)


def _providers_of(route: Route) -> tuple[str, ...]:
    """The providers that a route names."""
    forms = [getattr(route.authorization, form, None) for form in ("exchange", "client_credentials")]
    return (*route.auth.provider, *(form.provider for form in forms if form is not None and form.provider))


def _limit(name: str, limit: Section[LimitSettings], sections: Sections) -> Iterator[Problem]:
    routes = [route.value for route in sections.routes if name in route.value.limits]
    if not routes:
        yield limit.origin.problem((), f"no route has this limit; write limits: [{name}] in one, or take this out")
        return
    is_anonymous = all(route.auth.mode == "none" for route in routes)
    if is_anonymous and limit.value.by != _BY_ADDRESS and _is_own(limit, ("by",)):
        what = "its routes look at no token, so that each caller counts by address; write by: address"
        yield limit.origin.problem(("by",), what)
    if sections.section("cache").redis is None and _is_own(limit, ("on_redis_error",)):
        what = "there is no Redis that could be away; write cache.redis, or take this out"
        yield limit.origin.problem(("on_redis_error",), what)


def _signing(sections: Sections) -> Iterator[Problem]:
    if sections.signing is not None and all(route.value.identity.token is None for route in sections.routes):
        what = "no route has identity.token, so that nothing is signed; write one, or take this out"
        yield sections.signing.origin.problem((), what)


def _defaults(sections: Sections) -> Iterator[Problem]:
    """Warn of defaults that each route replaces by its own."""
    if sections.defaults is None or not sections.routes:
        return
    for loc in _ends(sections.defaults.node):
        if loc and not any(_inherits(route, loc) for route in sections.routes):  # an empty mapping asks for nothing
            what = "each route has its own; take this out here, or there"
            yield sections.defaults.problem(loc, what)


def _inherits(route: Section[Route], loc: Loc) -> bool:
    found = route.origin.find(loc)
    return not found.rest and found.inherited


def _ends(node: Node, loc: Loc = ()) -> Iterator[Loc]:
    """The places below `node` that are not mappings: those that a route inherits or replaces as a whole."""
    if not isinstance(node.value, dict) or not node.value:
        yield loc
        return
    for key, entry in node.value.items():
        yield from _ends(entry.node, (*loc, key))
