"""Checks the decisions listener against the rest: its place, and the routes that only it answers for."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.check_listeners import overlap, problems_of_certificate_header
from gateway.config.problems import Problem, place_text
from gateway.config.route_model import Route
from gateway.config.sections import Section, Sections
from gateway.config.server_model import Decisions

# The gateway acts on these when it sees the response.
_OF_THE_RESPONSE = ("cors", "on_success")
_KEPT_BY_PROXIES = frozenset({"cookie", "query"})
_OTHERS = {"server": "server.listen", "admin": "admin.listen"}


def problems_of_decisions(sections: Sections) -> Iterator[Problem]:
    """Every problem between `decisions`, the other listeners and the routes without a backend."""
    is_written = "decisions" in sections.root.node.entries or "decisions" in sections.misspelt
    if sections.decisions is not None and sections.decisions.is_valid("listen"):
        yield from _taken_twice(sections, sections.decisions)
    yield from problems_of_certificate_header(sections.sections["server"], is_asked=is_written)
    for route in sections.routes:
        if route.is_valid("backend") and not route.value.backend:
            yield from _without_backend(route, is_asked=is_written)


def _taken_twice(sections: Sections, decisions: Section[Decisions]) -> Iterator[Problem]:
    for name, key in _OTHERS.items():
        other = sections.sections[name]
        if other.is_valid("listen") and overlap(decisions.value.listen, other.value.listen):
            what = f"{key} ({other.value.listen}) takes the same port; write another for one of them"
            yield decisions.origin.problem(("listen",), what)


def _without_backend(route: Section[Route], *, is_asked: bool) -> Iterator[Problem]:
    if not is_asked:
        origin = route.origin
        yield Problem(
            place_text((*origin.path, "backend")), "is missing; write backend: http://orders:8000", origin.line
        )
        return
    if route.is_valid_within("auth", "token_from"):
        yield from _token_places(route)
    for key in _OF_THE_RESPONSE:
        if getattr(route.value, key) is not None and route.is_valid(key):
            what = "without a backend another proxy gives the response; write this there, or write a backend here"
            yield route.origin.problem((key,), what)


def _token_places(route: Section[Route]) -> Iterator[Problem]:
    """Find places of tokens that another proxy cannot empty: it forwards cookies and the query as they came."""
    for index, place in enumerate(route.value.auth.token_from):
        if place.of in _KEPT_BY_PROXIES:
            what = f"without a backend another proxy sends the {place.of} on with its token; name a header"
            yield route.origin.problem(("auth", "token_from", index), what)
