"""Checks what a route wants of token endpoints against the providers that would be asked.

A provider whose JWTs are verified here (`validation: jwt`) gives no JWT with the facts. It may have no `client_id`, and
then nothing can be obtained from it: the gateway is nobody's client there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.config.credential_model import BackendCredential
from gateway.config.problems import Loc, Problem
from gateway.config.provider_model import Provider
from gateway.config.route_model import Route
from gateway.config.sections import Section


def problems_of_grants(route: Section[Route], providers: Mapping[str, Section[Provider]]) -> Iterator[Problem]:
    """Every problem between a route's wants and its providers. Broken providers are left alone."""
    if not route.is_valid("authorization") or not route.is_valid_within("auth", "mode", "provider", "permissions"):
        return
    wanted = route.value.authorization
    if isinstance(wanted, BackendCredential):
        if wanted.phantom:
            yield from _without_phantom(route, providers)
        for form in ("exchange", "client_credentials"):
            if (settings := getattr(wanted, form)) is not None:
                yield from _without_client(route, ("authorization", form), settings.provider, providers)
    if route.value.auth.permissions and route.value.auth.mode != "none":
        yield from _without_client(route, ("auth", "permissions"), None, providers)


def _asked(route: Section[Route], named: str | None, providers: Mapping[str, Section[Provider]]) -> list[str]:
    names = (named,) if named is not None else route.value.auth.provider or tuple(providers)
    return [name for name in names if name in providers]


def _without_phantom(route: Section[Route], providers: Mapping[str, Section[Provider]]) -> Iterator[Problem]:
    for name in _asked(route, None, providers):
        if providers[name].is_valid("validation") and providers[name].value.validation == "jwt":
            what = f"{name} is not introspected (validation: jwt), so that it gives no JWT; write exchange: or keep"
            yield route.origin.problem(("authorization", "phantom"), what)


def _without_client(
    route: Section[Route], loc: Loc, named: str | None, providers: Mapping[str, Section[Provider]]
) -> Iterator[Problem]:
    for name in _asked(route, named, providers):
        if providers[name].is_valid("client_id", "validation") and not providers[name].value.client_id:
            what = f"the gateway is no client of {name}, whose token endpoint is asked; write its client_id there"
            yield route.origin.problem(loc, what)
