"""Checks that identity tokens can be signed, and that the path of their keys is free."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.problems import Problem
from gateway.config.route_model import Route
from gateway.config.sections import Section, Sections


def problems_of_signing(sections: Sections) -> Iterator[Problem]:
    """Every problem between `signing`, `events` and the routes."""
    is_written = "signing" in sections.root.node.entries or "signing" in sections.misspelt
    for route in sections.routes:
        if route.is_valid_within("identity", "token") and route.value.identity.token is not None and not is_written:
            yield _unsigned(route)
    yield from _under_events(sections)


def _unsigned(route: Section[Route]) -> Problem:
    what = "nothing signs the token; write signing: {key_file: …, issuer: …} at the top of the file, too"
    return route.origin.problem(("identity", "token"), what)


def _under_events(sections: Sections) -> Iterator[Problem]:
    signing, events = sections.signing, sections.events
    if signing is None or events is None or not signing.is_valid("path") or not events.is_valid("prefix"):
        return
    path, prefix = signing.value.path, events.value.prefix
    if path.segments[: len(prefix.segments)] == prefix.segments:
        what = f"{path} lies under {prefix}, where events arrive (events.prefix); write another path"
        yield signing.origin.problem(("path",), what)
