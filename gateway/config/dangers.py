"""Warns of dangerous values: of each key whose description says "Danger:", where the file sets the dangerous value.

A default gives no warning, and neither does `auth: none`. One omission does: a route without `audience`. `MILD` lists
the keys whose danger depends on the gateway's surroundings, which the file does not show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gateway.config.problems import Problem
from gateway.config.route_model import Route
from gateway.config.sections import Section, Sections
from gateway.config.values import Address, is_loopback_address

_TTL_LONG_S = 900.0
_SKEW_LONG_S = 60.0
_COOKIE = (
    "a browser sends the cookie with requests that pages of other sites make; add cors, or match.methods: [GET] for a "
    "route that changes nothing"
)
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_STREAMS = "an open stream goes on after logout, revocation and exp; write end"


def _is_public(address: Address) -> bool:
    return address.path is None and not is_loopback_address(address.host)


_Test = Callable[[Any], bool]
_Rule = tuple[tuple[str, ...], _Test, str]

_RULES: dict[str, tuple[_Rule, ...]] = {
    "server": (
        (("trusted_headers",), bool, "clients write these headers unless the proxy overwrites each; list the fewest"),
        (("max_body",), lambda value: value is None, "bodies have no limit; write a size such as 100MiB"),
        (("min_body_rate",), lambda value: value == 0, "a body that drips holds its connection for ever; write 1KiB"),
        (
            ("unknown_tokens",),
            lambda value: value is None,
            "made-up tokens become calls to the provider; leave it out",
        ),
    ),
    "admin": (
        (
            ("listen",),
            _is_public,
            "routes and metrics are shown to everyone who reaches this address; write 127.0.0.1:9090",
        ),
    ),
    "decisions": (
        (
            ("listen",),
            _is_public,
            "whoever reaches this address is believed about the request; write 127.0.0.1:9191 or unix:/path",
        ),
    ),
    "cache": (
        (
            ("ttl",),
            lambda value: value > _TTL_LONG_S,
            "a revoked token may work for this long; write minutes, such as 60s",
        ),
        (
            ("clock_skew",),
            lambda value: value > _SKEW_LONG_S,
            "anyone who can write to Redis can keep a revoked token working for this long; write seconds",
        ),
    ),
    "provider": (
        (("breaker",), lambda value: value is None, "requests wait for a provider that is away; leave the key out"),
        (
            ("require_token_type",),
            lambda value: value is False,
            "an answer without token_type passes for an access token; write auto",
        ),
    ),
    "route": (
        (("max_body",), lambda value: value is None, "bodies have no limit; write a size such as 100MiB"),
        (
            ("allow_encoded_slash",),
            bool,
            "a backend that decodes %2F sees another path; leave it out if none needs it",
        ),
        (
            ("allow_path_parameters",),
            bool,
            "a backend that reads ;parameters is told more than the policy saw; leave it out where none needs them",
        ),
        (
            ("authorization",),
            lambda value: value == "keep",
            "the backend gets the caller's token and can act as the caller elsewhere; write strip",
        ),
        (
            ("authorization", "exchange"),
            lambda value: not value.audience and not value.resource,
            "the token in exchange may be good for as much as the caller's; write audience: with the backend's",
        ),
        (
            ("auth", "proof"),
            lambda value: value == "ignore",
            "a stolen token that is bound to a key works without the key; write if_bound",
        ),
        (
            ("auth", "stale_if_error"),
            bool,
            "a revoked token may work this much longer while the provider is away; leave it out if that is too long",
        ),
        (
            ("auth", "stale_methods"),
            lambda value: not {"GET", "HEAD", "OPTIONS"}.issuperset(value),
            "old facts may change something; write [GET, HEAD]",
        ),
        (
            ("outliers",),
            lambda value: value is None,
            "a backend that is away costs its share of the requests time, and some fail; leave the key out",
        ),
        (
            ("balance",),
            lambda value: value.key is not None and value.key.of in ("header", "cookie"),
            "a client chooses its backend, and can send all its requests to one; write {hash: sub} or another claim",
        ),
        (
            ("identity", "token"),
            lambda value: value is not None and value.ttl > _TTL_LONG_S,
            "a backend that goes by it serves a revoked caller for its ttl; write minutes, such as ttl: 60s",
        ),
        (("auth", "streams"), lambda value: value == "keep", _STREAMS),
        (
            ("auth", "provider"),
            lambda value: len(value) > 1,
            "an opaque token of one provider is shown to those before it; write one provider where that is enough",
        ),
    ),
}
# Dangerous keys without a rule above, each with the reason.
MILD = {
    ("server", "listen"): "a gateway's address is public",
    ("server", "trusted_proxies"): "a network that is too wide is warned of as a habit",
    ("server", "proxy_protocol"): "it closes, and opens nothing",
    ("server", "drain_delay"): "how long balancers take is not in the file",
    ("telemetry", "sample"): "it costs, and opens nothing",
    ("server", "watch"): "who can write to the files is not in the file",
    ("server", "max_connections_per_network"): "the proxies in front are not in the file",
    ("providers", "validation"): "it is warned of where no revocation can arrive at all",
    ("providers", "max_waiting"): "how many networks there are is not in the file",
    ("cache", "refresh_ahead"): "it costs calls, and opens nothing",
    ("routes", "identity", "answer"): "what the provider says of a caller is not in the file",
    ("routes", "authorization", "exchange", "provider"): "whose tokens it takes is not in the file",
    ("routes", "auth", "permissions"): "how the provider names its resources is not in the file",
    ("routes", "auth", "mode"): "none is what public routes are for",
    ("routes", "auth", "audience"): "its absence is warned of",
}


def dangers(sections: Sections) -> Iterator[Problem]:
    """Each dangerous choice of a file that has no problems."""
    for name in ("server", "admin", "cache"):
        yield from _of_section(sections.sections[name], _RULES[name])
    if sections.decisions is not None:
        yield from _of_section(sections.decisions, _RULES["decisions"])
    for provider in sections.providers.values():
        yield from _of_section(provider, _RULES["provider"])
    for route in sections.routes:
        yield from _of_section(route, _RULES["route"])
        yield from _cookie_as_token(route)
    yield from _without_audience(sections)


def keys_warned_of() -> set[tuple[str, ...]]:
    """The keys that have a rule, each with the section of the file that it stands in."""
    places = {"provider": "providers", "route": "routes"}
    by_rule = {(places.get(name, name), *path) for name, rules in _RULES.items() for path, _, _ in rules}
    return by_rule | {("routes", "auth", "token_from")}


def _of_section(section: Section[Any], rules: tuple[_Rule, ...]) -> Iterator[Problem]:
    for path, is_dangerous, what in rules:
        found = section.origin.find(path)
        if found.rest:
            continue  # not written: a default
        value = section.value
        for step in path:
            value = getattr(value, step)
        if is_dangerous(value):
            yield section.origin.problem(path, what)


def _cookie_as_token(route: Section[Route]) -> Iterator[Problem]:
    """Warn of a token that other sites can have sent, where a request may change something (CSRF)."""
    methods = route.value.match.methods
    if route.value.cors is not None or (methods is not None and _SAFE_METHODS.issuperset(methods)):
        return
    for index, place in enumerate(route.value.auth.token_from):
        if place.of == "cookie":
            yield route.origin.problem(("auth", "token_from", index), _COOKIE)


def _without_audience(sections: Sections) -> Iterator[Problem]:
    """Warn once, however many routes lack an audience."""
    without = [route for route in sections.routes if _takes_any_audience(route.value)]
    if without:
        more = f" (and {len(without) - 1} more routes)" if len(without) > 1 else ""
        what = f"audience is left out, so that tokens meant for other services pass; write audience: [orders-api]{more}"
        yield without[0].origin.problem((), what)


def _takes_any_audience(route: Route) -> bool:
    return route.auth.mode != "none" and not route.auth.audience
