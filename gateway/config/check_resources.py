"""Finds resources whose metadata would have one URL (RFC 9728 §3.1): only one document can be there.

A client refuses a document that names another resource than the one that it asked about (§3.3). So the clients of all
but one of them would find no authorization server, and nobody would see why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.config.problems import Problem
from gateway.config.route_model import Route
from gateway.config.sections import Section
from gateway.http.protected_resource import metadata_location


def problems_of_resources(routes: Iterable[Section[Route]]) -> Iterator[Problem]:
    """Each identifier whose place another one has already. Equal identifiers are one resource."""
    first: dict[tuple[str, str], str] = {}
    for route in routes:
        resource = route.value.resource
        if resource is None or not route.is_valid("resource"):
            continue
        location = metadata_location(resource.identifier)
        other = first.setdefault((location.host, location.path), resource.identifier)
        if other != resource.identifier:
            what = f"its metadata would be where those of {other} are; write the same identifier, or another path"
            yield route.origin.problem(("resource", "identifier"), what)
