"""Checks where a route looks for its token: places that the gateway empties before, and proofs that cannot be there.

Such a route would let nobody in, and no request would say why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.config.problems import Problem
from gateway.config.route_model import Route
from gateway.config.sections import Section, Sections
from gateway.config.token_place import IN_AUTHORIZATION
from gateway.http.header_names import fold_header_name


def problems_of_tokens(sections: Sections) -> Iterator[Problem]:
    """Every problem between the places of tokens and the rest of the file."""
    emptied = _emptied(sections)
    for route in sections.routes:
        if not route.is_valid_within("auth", "mode", "token_from", "proof") or route.value.auth.mode == "none":
            continue
        yield from _places(route, emptied)
        yield from _proof(route)


def _emptied(sections: Sections) -> Mapping[str, str]:
    """The headers that clients cannot send, in letters and digits, and what each is instead."""
    found = {
        fold_header_name(name): "an identity header, which is removed from every request"
        for route in sections.routes
        if route.is_valid("identity")
        for name in route.value.identity.names
    }
    server = sections.sections["server"]
    header = server.value.client_certificate_header
    if header is not None and server.is_valid("client_certificate_header"):
        found[fold_header_name(header.name)] = "where proxies pass certificates on (server.client_certificate_header)"
    return found


def _places(route: Section[Route], emptied: Mapping[str, str]) -> Iterator[Problem]:
    for index, place in enumerate(route.value.auth.token_from):
        why = emptied.get(fold_header_name(place.name)) if place.of == "header" else None
        if why is not None:
            what = f"{place.name} is {why}, so that no token arrives in it; write another header"
            yield route.origin.problem(("auth", "token_from", index), what)


def _proof(route: Section[Route]) -> Iterator[Problem]:
    """A bound token counts only where it came by `Authorization`, and without one `required` lets nobody in."""
    auth = route.value.auth
    if auth.proof == "required" and IN_AUTHORIZATION not in auth.token_from:
        what = (
            "a token with a proof comes by Authorization, which token_from leaves out, so that nobody gets in; "
            "add authorization there, or write if_bound"
        )
        yield route.origin.problem(("auth", "proof"), what)
