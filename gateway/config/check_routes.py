"""Checks the keys of one route against each other: providers, captures, prefixes, demands on tokens."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.claim_paths import Template
from gateway.config.credential_model import BackendCredential, ClientCredentialsSettings, ExchangeSettings
from gateway.config.keys import token_demands
from gateway.config.messages import closest
from gateway.config.node import Origin, leaves
from gateway.config.pattern import PathPattern, SegmentKind
from gateway.config.problems import Loc, Problem
from gateway.config.route_model import Route
from gateway.config.scalars import is_boolean_elsewhere
from gateway.config.sections import Section

_ENCODED_SLASH = "%2F"


def problems_of_limits(route: Section[Route], names: frozenset[str] | None) -> Iterator[Problem]:
    """Find limits that nobody configured, or that are named twice. `names` is `None` where they cannot be told."""
    if names is None or not route.is_valid("limits"):
        return
    limits = route.value.limits
    for index, name in enumerate(limits):
        if name not in names:
            meant = closest(name, sorted(names)) or " or ".join(sorted(names)[:5]) or "limits: at the top of the file"
            yield route.origin.problem(("limits", index), f"there is no limit {name}; write {meant}")
        elif name in limits[:index]:
            yield route.origin.problem(("limits", index), f"{name} is named twice; name it once")


def problems_of_route(route: Section[Route], provider_names: frozenset[str] | None) -> Iterator[Problem]:
    """Every problem between the keys of one route. `provider_names` is `None` where they cannot be told."""
    yield from _boolean_words(route.origin)
    if route.is_valid_within("auth", "mode"):
        yield from _useless_demands(route)
    if provider_names and route.is_valid_within("auth", "provider"):
        yield from _providers(route, provider_names)
    if route.is_valid("balance") and route.is_valid_within("auth", "mode"):
        yield from _hash_of_nobody(route)
    if route.is_valid("match", "allow_encoded_slash"):
        yield from _encoded_slash(route)
    if route.is_valid("match") and route.is_valid_within("auth", "mode", "claims"):
        yield from _claims(route)
    if route.is_valid("match") and route.is_valid_within("auth", "mode", "permissions"):
        yield from _permissions(route)
    if provider_names and route.is_valid("authorization"):
        yield from _credential(route, provider_names)
    if route.is_valid("match", "rewrite", "strip_prefix"):
        yield from _rewriting(route)


def problems_of_defaults(defaults: Origin) -> Iterator[Problem]:
    """Problems of the defaults that do not depend on the routes."""
    yield from _boolean_words(defaults)


def _boolean_words(origin: Origin) -> Iterator[Problem]:
    """Find words such as `yes` without quotes. Some readers of YAML take them for true, and a claim's type matters."""
    auth = origin.node.child("auth")
    claims = auth.node.child("claims") if auth is not None else None
    for loc, node in leaves(claims.node, ("auth", "claims")) if claims is not None else ():
        if node.plain and isinstance(node.value, str) and is_boolean_elsewhere(node.value):
            word = "true" if node.value.lower() in {"yes", "on", "y"} else "false"
            what = f'{node.value} can be read as {word} or as a text; write {word}, or "{node.value}" in quotes'
            yield origin.problem(loc, what)


def _useless_demands(route: Section[Route]) -> Iterator[Problem]:
    """Find demands on tokens in a route whose mode ignores tokens. Inherited demands are meant for other routes."""
    if route.value.auth.mode != "none":
        return
    for key in token_demands(type(route.value)):
        if route.origin.has_own(key.path) and _value_at(route.value, key.path) not in (None, ()):
            what = "with mode none no token is looked at; take this out, or write mode: required"
            yield route.origin.problem(key.path, what)


def _hash_of_nobody(route: Section[Route]) -> Iterator[Problem]:
    """Find a backend that is to be chosen by a claim where no token is looked at: it would never be."""
    key = route.value.balance.key
    if route.value.auth.mode == "none" and route.origin.has_own(("balance",)) and key is not None and key.of == "claim":
        what = (
            f"with mode none nobody has the claim {key}; write address, header:NAME or cookie:NAME, or mode: required"
        )
        yield route.origin.problem(("balance", "hash"), what)


def _value_at(value: object, path: tuple[str, ...]) -> object:
    for name in path:
        value = getattr(value, name, None)
    return value


def _providers(route: Section[Route], names: frozenset[str]) -> Iterator[Problem]:
    auth = route.value.auth
    for index, name in enumerate(auth.provider):
        if name not in names:
            meant = closest(name, sorted(names)) or " or ".join(sorted(names)[:5])
            yield route.origin.problem(("auth", "provider", index), f"there is no provider {name}; write {meant}")
        elif name in auth.provider[:index]:
            yield route.origin.problem(("auth", "provider", index), f"{name} is named twice; name it once")
    if route.is_valid_within("auth", "mode") and not auth.provider and auth.mode != "none" and len(names) > 1:
        known = ", ".join(sorted(names))
        what = f"it is not said which provider is asked; write provider: with one or a list of {known}"
        yield route.origin.problem(_own(route, "auth"), what)


def _encoded_slash(route: Section[Route]) -> Iterator[Problem]:
    literals = [s.text for s in route.value.match.path.segments if s.kind is SegmentKind.LITERAL]
    if not route.value.allow_encoded_slash and any(_ENCODED_SLASH in text for text in literals):
        what = "%2F is refused in requests, so the path never matches; write allow_encoded_slash: true as well"
        yield route.origin.problem(("match", "path"), what)


def _claims(route: Section[Route]) -> Iterator[Problem]:
    if route.value.auth.mode == "none":
        return
    for rule in route.value.auth.claims:
        for name in sorted(rule.captures - route.value.match.path.captures):
            yield route.origin.problem(("auth", "claims", ".".join(rule.path)), _no_capture(name, route))


def _permissions(route: Section[Route]) -> Iterator[Problem]:
    if route.value.auth.mode == "none":
        return
    for index, permission in enumerate(route.value.auth.permissions):
        resource = permission.resource
        captures = resource.captures if isinstance(resource, Template) else frozenset()
        for name in sorted(captures - route.value.match.path.captures):
            yield route.origin.problem(("auth", "permissions", index, "resource"), _no_capture(name, route))


def _credential(route: Section[Route], names: frozenset[str]) -> Iterator[Problem]:
    credential = route.value.authorization
    if not isinstance(credential, BackendCredential):
        return
    for form in ("exchange", "client_credentials"):
        settings: ExchangeSettings | ClientCredentialsSettings | None = getattr(credential, form)
        if settings is None:
            continue
        if settings.provider is not None and settings.provider not in names:
            meant = closest(settings.provider, sorted(names)) or " or ".join(sorted(names)[:5])
            what = f"there is no provider {settings.provider}; write {meant}"
            yield route.origin.problem(("authorization", form, "provider"), what)
        elif settings.provider is None and form == "client_credentials" and len(names) > 1:
            known = ", ".join(sorted(names))
            what = f"it is not said which provider issues the token; write provider: with one of {known}"
            yield route.origin.problem(("authorization", form), what)


def _rewriting(route: Section[Route]) -> Iterator[Problem]:
    strip_prefix, rewrite = route.value.strip_prefix, route.value.rewrite
    if strip_prefix is not None and rewrite is not None:
        yield route.origin.problem(("rewrite",), "strip_prefix is given as well; keep one of the two")
        return
    if rewrite is not None:
        yield from _rewrite(route, rewrite)
    if strip_prefix is not None:
        yield from _strip_prefix(route, strip_prefix)


def _rewrite(route: Section[Route], rewrite: PathPattern) -> Iterator[Problem]:
    path = route.value.match.path
    for name in sorted(rewrite.captures - path.captures):
        yield route.origin.problem(("rewrite",), _no_capture(name, route))
    if rewrite.has_rest and not path.has_rest:
        what = f"{{**}} needs {_whose(route)} to end in **, and it is {path}; write /** there, or leave {{**}} out"
        yield route.origin.problem(("rewrite",), what)


def _strip_prefix(route: Section[Route], prefix: PathPattern) -> Iterator[Problem]:
    path = route.value.match.path
    if prefix.has_rest or (prefix.segments[-1].text == "" and prefix.segments[-1].kind is SegmentKind.LITERAL):
        what = f"a prefix ends in a name, and this is {prefix}; write it without the slash or ** at its end"
        yield route.origin.problem(("strip_prefix",), what)
    elif path.segments[: len(prefix.segments)] != prefix.segments:
        what = f"{_whose(route)}, {path}, does not begin with {prefix}; write a prefix made of its first segments"
        yield route.origin.problem(("strip_prefix",), what)


def _no_capture(name: str, route: Section[Route]) -> str:
    known = ", ".join(f"{{{known}}}" for known in sorted(route.value.match.path.captures))
    what = f"write one of its own ({known})" if known else f"write {{{name}}} for a segment there, or leave it out here"
    return f"there is no {{{name}}} in {_whose(route)}, {route.value.match.path}; {what}"


def _whose(route: Section[Route]) -> str:
    return f"the path of {route.value.name}" if route.is_valid("name") else "the route's path"


def _own(route: Section[Route], key: str) -> Loc:
    """The place of `key` if the route itself has it, or else of the route."""
    return (key,) if key in route.origin.node.entries else ()
