"""Checks that events can arrive: their paths are free, a provider can send them, and `on_success` can happen."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.config.model import Events
from gateway.config.problems import Problem
from gateway.config.provider_model import Provider
from gateway.config.route_model import Route
from gateway.config.sections import Section, Sections

_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_REVOKED_BY = "POST"  # RFC 7009 §2.1


def problems_of_events(sections: Sections) -> Iterator[Problem]:
    """Every problem between `events`, the providers' own `events` and the routes."""
    is_written = "events" in sections.root.node.entries or "events" in sections.misspelt
    for provider in sections.providers.values():
        yield from _sender(provider, is_received=is_written)
    if sections.events is not None:
        yield from _nobody_sends(sections, sections.events)
        if sections.events.is_valid("prefix"):
            for route in sections.routes:
                yield from _under_prefix(route, sections.events)
    for route in sections.routes:
        yield from _acting(route)


def _sender(provider: Section[Provider], *, is_received: bool) -> Iterator[Problem]:
    events = provider.value.events
    if events is None or not provider.is_valid("events"):
        return
    if not is_received:
        yield provider.origin.problem(("events",), "nobody receives them; write events: {} at the top of the file too")
    value = events.authorization
    if value is not None and not _HEADER_VALUE.fullmatch(value.get_secret_value()):
        what = "this cannot be sent in a header; write a scheme and its credentials, such as Bearer and a token"
        yield provider.origin.problem(("events", "authorization"), what)


def _nobody_sends(sections: Sections, events: Section[Events]) -> Iterator[Problem]:
    providers = sections.providers.values()
    if providers and all(one.is_valid("issuer", "events") and issuer_of_events(one.value) is None for one in providers):
        what = "no provider has an issuer, so nobody can send any; write issuer: under a provider, or take this out"
        yield events.origin.problem((), what)


def issuer_of_events(provider: Provider) -> str | None:
    """The `iss` of the events that a provider's transmitter sends; `None` for one that cannot send any."""
    own = provider.events.issuer if provider.events is not None else None
    return own or provider.issuer


def _under_prefix(route: Section[Route], events: Section[Events]) -> Iterator[Problem]:
    if not route.is_valid("match"):
        return
    path, prefix = route.value.match.path, events.value.prefix
    if path.segments[: len(prefix.segments)] == prefix.segments:
        what = f"{path} lies under {prefix}, where the gateway answers itself (events.prefix); write another path"
        yield route.origin.problem(("match", "path"), what)


def _acting(route: Section[Route]) -> Iterator[Problem]:
    if route.value.on_success is None or not route.is_valid("on_success", "match"):
        return
    methods = route.value.match.methods
    if methods is not None and _REVOKED_BY not in methods:
        what = "a revocation is a POST, which match.methods leaves out; write POST there, or take this out"
        yield route.origin.problem(("on_success",), what)
