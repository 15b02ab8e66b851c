"""Warns of probable mistakes: notations of other gateways and shells, and settings that need another to be of use.

Each of them is legal, but probably means something else than its author thinks. So it is a warning and not an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from urllib.parse import urlsplit

from gateway.config.messages import closest
from gateway.config.node import Node, leaves
from gateway.config.pattern import PathPattern, SegmentKind
from gateway.config.problems import Problem, place_text
from gateway.config.provider_model import Provider
from gateway.config.route_model import Route
from gateway.config.sections import Section, Sections
from gateway.config.server_model import Server
from gateway.config.values import is_loopback_address, quoted

_SHELL_VARIABLE = re.compile(r"(?<![$\\])\$([A-Za-z_][A-Za-z0-9_]*)")
_GROUP = re.compile(r"\$[0-9]")
_TEMPLATE = re.compile(r"\{\{.*?\}\}|<%.*?%>")
_TYPOGRAPHIC = "\u201c\u201d\u2018\u2019\u201e\u00ab\u00bb"
_SECRET_MIN_CHARS = 12
_WIDE_PREFIX = {4: 8, 6: 16}
# P-384 and P-521: 0.6 and 0.9 ms for each token that is new to a worker.
_SLOW_ALGORITHMS = frozenset({"ES384", "ES512"})
_LONG_DRAIN_S = 600.0
# Methods of RFC 9110 §9, RFC 5789 and WebDAV (RFC 4918). A misspelt method was probably meant to be one of these.
_KNOWN_METHODS = (
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH",
    "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "SEARCH", "REPORT", "LIST",
)  # fmt: skip
_CLAIM_PREFIXES = ("realm_access.roles.", "resource_access.")


def habits(sections: Sections) -> Iterator[Problem]:
    """Each doubtful notation of a file that has no problems."""
    yield from _texts(sections.root.node)
    yield from _server(sections.sections["server"])
    yield from _workers(sections)
    for provider in sections.providers.values():
        yield from _provider(provider)
        yield from _local_validation(provider, sections)
    for route in sections.routes:
        yield from _route(route)
    yield from _open_beside_guarded(sections.routes)


def _texts(root: Node) -> Iterator[Problem]:
    """Warn of notations that can stand in any text. The warning shows the text as written, without the environment."""
    for loc, leaf in leaves(root):
        if not isinstance(leaf.value, str):
            continue
        for what in _in_text(leaf.written or leaf.value):
            yield Problem(place_text(loc), what, leaf.line)


def _in_text(text: str) -> Iterator[str]:
    if found := _SHELL_VARIABLE.search(text):
        yield f"${found[1]} is not read from the environment; write ${{{found[1]}}}"
    if found := _TEMPLATE.search(text):
        yield f"{quoted(found[0])} looks like a template that nobody has rendered; render it, or write ${{NAME}}"
    if any(mark in text for mark in _TYPOGRAPHIC):
        yield "typographic quotes are part of the text; write \" or '"


def _server(server: Section[Server]) -> Iterator[Problem]:
    value = server.value
    for index, peer in enumerate(value.trusted_proxies):
        if isinstance(peer, IPv4Network | IPv6Network) and peer.prefixlen < _WIDE_PREFIX[peer.version]:
            what = f"everyone in {peer} can speak for every client; write the addresses of the proxies"
            yield server.origin.problem(("trusted_proxies", index), what)
    share = value.max_connections_per_network
    if share is not None and share > value.max_connections:
        what = f"one network may hold more than max_connections ({value.max_connections}); write less"
        yield server.origin.problem(("max_connections_per_network",), what)
    if value.drain_delay > _LONG_DRAIN_S:
        what = "the process goes on for this long after SIGTERM; write as long as the balancer takes, such as 10s"
        yield server.origin.problem(("drain_delay",), what)


def _workers(sections: Sections) -> Iterator[Problem]:
    server, cache = sections.sections["server"], sections.sections["cache"]
    if server.value.workers != 1 and cache.value.redis is None and sections.providers:
        what = "each worker remembers for itself, and asks for itself; write cache.redis, or workers: 1"
        yield server.origin.problem(("workers",), what)


def _provider(provider: Section[Provider]) -> Iterator[Problem]:
    value, origin = provider.value, provider.origin
    for key in ("issuer", "introspection_endpoint", "token_endpoint", "jwks_uri"):
        url = getattr(value, key)
        if url is not None and _goes_in_clear(url):
            yield origin.problem((key,), "tokens and secrets go over the network in clear; write https://")
    secret = None if value.client_secret is None else value.client_secret.get_secret_value()
    if secret is None:
        return
    if secret != secret.strip():
        yield origin.problem(("client_secret",), "it begins or ends with white space, which is sent; take that off")
    elif len(secret) < _SECRET_MIN_CHARS:
        what = f"it has {len(secret)} characters, and can be guessed; have the provider make a new one"
        yield origin.problem(("client_secret",), what)


def _local_validation(provider: Section[Provider], sections: Sections) -> Iterator[Problem]:
    """Warn of JWTs that nothing can end, and of algorithms that hold up a worker."""
    value, origin = provider.value, provider.origin
    if value.validation == "jwt" and sections.events is None and sections.sections["admin"].value.token is None:
        what = "no revocation can arrive, so that a token is good until its exp; write events: {} or admin.token"
        yield origin.problem(("validation",), what)
    own = None if value.events is None else value.events.audience
    if sections.events is not None and not value.client_id and own is None:
        what = "nobody can tell whether an event is meant for us; write client_id, or events: {audience: […]} here"
        yield origin.problem((), what)
    for index, name in enumerate(value.algorithms if value.validation != "introspection" else ()):
        if name in _SLOW_ALGORITHMS:
            what = f"to verify {name} takes five times as long as ES256, and all else waits meanwhile; write ES256"
            yield origin.problem(("algorithms", index), what)


def _goes_in_clear(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "http" and host != "localhost" and not is_loopback_address(host)


def _route(route: Section[Route]) -> Iterator[Problem]:
    value, origin = route.value, route.origin
    for text in _literals(value.match.path):
        if text.startswith(":") and len(text) > 1:
            what = f"{text} is matched as it stands; write {{{text[1:]}}} for any segment"
            yield origin.problem(("match", "path"), what)
    for index, method in enumerate(value.match.methods or ()):
        if method not in _KNOWN_METHODS and (meant := closest(method, list(_KNOWN_METHODS))):
            what = f"{method} is not a method that is known; write {meant}, if you mean that"
            yield origin.problem(("match", "methods", index), what)
    if value.rewrite is not None and any(_GROUP.search(text) for text in _literals(value.rewrite)):
        what = "$1 is sent as it stands, because paths are not regular expressions; write {name} or {**}"
        yield origin.problem(("rewrite",), what)
    yield from _roles(route)


def _roles(route: Section[Route]) -> Iterator[Problem]:
    for index, role in enumerate(route.value.auth.roles):
        meant = None
        if role.startswith(_CLAIM_PREFIXES):
            meant = role.rpartition(".")[2]
        elif role.startswith("realm:"):
            meant = role.removeprefix("realm:")
        if meant:
            what = f"{role} is looked for as the name of a role; write {meant}"
            yield route.origin.problem(("auth", "roles", index), what)


def _open_beside_guarded(routes: list[Section[Route]]) -> Iterator[Problem]:
    """Warn of a public route for all paths beside guarded routes of the same backend: it takes what these miss."""
    guarded = {one.url: route for route in routes if route.value.auth.mode != "none" for one in route.value.backend}
    for route in routes:
        if route.value.auth.mode != "none" or route.value.match.path.text != "/**":
            continue
        other = next((guarded[one.url] for one in route.value.backend if one.url in guarded), None)
        if other is not None:
            what = f"what {other.value.name} does not match reaches its backend without a token; write narrower paths"
            yield route.origin.problem(("match", "path"), what)


def _literals(pattern: PathPattern) -> list[str]:
    return [segment.text for segment in pattern.segments if segment.kind is SegmentKind.LITERAL]
