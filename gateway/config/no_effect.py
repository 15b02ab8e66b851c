"""Warns of keys that have no effect beside another key: the file reads as if it asked for something that it does not.

Each of them is harmless, so it is a warning. What is contradictory, so that a route lets nobody in, is an error
(`gateway.config.check_tokens`). Only what stands in the file is warned of, and in a route only what is its own: a
default may be meant for other routes.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.problems import Problem
from gateway.config.provider_model import Provider
from gateway.config.route_model import Route
from gateway.config.sections import Section, Sections
from gateway.config.server_model import Server
from gateway.config.token_place import IN_AUTHORIZATION

_NOT_ASKED = "with validation: jwt nobody is asked about a token; take this out, or write jwt_then_introspection"
# What each way of client_auth leaves unread.
_UNREAD_BY_WAY = {
    "private_key_jwt": ("client_secret",),
    "none": ("client_secret", "private_key", "private_key_id"),
}
_UNREAD_BY_SECRETS = ("private_key", "private_key_id")


def keys_without_effect(sections: Sections) -> Iterator[Problem]:
    """Each such key of a file that has no problems."""
    yield from _server(sections.sections["server"], sections)
    for provider in sections.providers.values():
        yield from _provider(provider)
    for route in sections.routes:
        yield from _route(route)


def _server(server: Section[Server], sections: Sections) -> Iterator[Problem]:
    value, origin = server.value, server.origin
    if value.trusted_headers and not value.trusted_proxies and sections.decisions is None:
        what = "only server.trusted_proxies may send them, and there are none; name the proxies there, or take this out"
        yield origin.problem(("trusted_headers",), what)
    if value.tls is not None and value.tls.client_ca is None and _is_written(server, "tls", "client_certificate"):
        what = "without client_ca no client is asked for a certificate; write client_ca: ca.pem, or take this out"
        yield origin.problem(("tls", "client_certificate"), what)
    if value.dpop_nonce and sections.routes and not any(_looks_at_proofs(route.value) for route in sections.routes):
        what = "no route looks at a DPoP proof; take this out, or write proof: if_bound and a place authorization"
        yield origin.problem(("dpop_nonce",), what)


def _looks_at_proofs(route: Route) -> bool:
    auth = route.auth
    return auth.mode != "none" and auth.proof != "ignore" and IN_AUTHORIZATION in auth.token_from


def _provider(provider: Section[Provider]) -> Iterator[Problem]:
    value, origin = provider.value, provider.origin
    if value.validation == "jwt":
        for key in ("introspection", "introspection_endpoint"):
            if _is_written(provider, key):
                yield origin.problem((key,), _NOT_ASKED)
    for key in _UNREAD_BY_WAY.get(value.client_auth, _UNREAD_BY_SECRETS):
        if _is_written(provider, key):
            what = f"client_auth {value.client_auth} does not use it; take it out, or write the client_auth that does"
            yield origin.problem((key,), what)


def _route(route: Section[Route]) -> Iterator[Problem]:
    auth, origin = route.value.auth, route.origin
    if auth.mode == "none":
        return  # a demand is an error there
    if auth.stale_if_error is None and origin.has_own(("auth", "stale_methods")):
        what = "without stale_if_error no old answer is used at all; write stale_if_error: 1m, or take this out"
        yield origin.problem(("auth", "stale_methods"), what)


def _is_written(section: Section[Provider] | Section[Server], *path: str) -> bool:
    return not section.origin.find(path).rest
