"""Tables of keys of a route that another key leaves without effect (`gateway.config.idle_keys`).

A route without `backend` only answers other proxies (`decisions`). So nothing that tells how a request is forwarded has
an effect there.
"""

from __future__ import annotations

from gateway.config.idle_keys import IdleKey
from gateway.config.pattern import SegmentKind
from gateway.config.route_model import Route
from gateway.config.sections import Sections
from gateway.config.token_place import IN_AUTHORIZATION

# RFC 9110 §9.2.2, as far as the gateway sends them again.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_ENCODED_SLASH = "%2F"
_ONE_BACKEND = "the route has one backend, which gets each request; write a list of backends, or take this out"
_NO_BACKEND = "without a backend another proxy forwards the request; write this there, or write a backend here"


def _has_one_backend(route: Route, _: Sections) -> bool:
    return len(route.backend) == 1


def _has_no_backend(route: Route, _: Sections) -> bool:
    return not route.backend


def _ejects_nobody(route: Route, _: Sections) -> bool:
    outliers, backends = route.outliers, len(route.backend)
    return outliers is not None and backends > 1 and backends * outliers.max_ejected < 100  # noqa: PLR2004 - per cent


def _has_no_such_path(route: Route, _: Sections) -> bool:
    """Whether the path is a fixed one without an encoded slash."""
    segments = route.match.path.segments
    return all(one.kind is SegmentKind.LITERAL and _ENCODED_SLASH not in one.text for one in segments)


def _methods(route: Route) -> frozenset[str] | None:
    """The methods that the route takes; `None` for any."""
    methods = route.match.methods
    if methods is None:
        return None
    return frozenset(methods) | ({"HEAD"} if "GET" in methods else set())


def _tolerates_no_method(route: Route, _: Sections) -> bool:
    methods = _methods(route)
    stale = frozenset(route.auth.stale_methods) | ({"HEAD"} if "GET" in route.auth.stale_methods else set())
    return methods is not None and methods.isdisjoint(stale)


def _repeats_no_method(route: Route, _: Sections) -> bool:
    methods = _methods(route)
    return methods is not None and methods.isdisjoint(_IDEMPOTENT)


def _keeps_nothing(route: Route, _: Sections) -> bool:
    auth = route.auth
    return route.authorization == "keep" and auth.mode != "none" and IN_AUTHORIZATION not in auth.token_from


def _asks_for_older(route: Route, sections: Sections) -> bool:
    max_age_s: float | None = route.auth.max_age
    ttl_s: float = sections.section("cache").ttl
    return max_age_s is not None and max_age_s > ttl_s


ROUTE: tuple[IdleKey, ...] = (
    IdleKey(
        ("auth", "stale_methods"),
        lambda route, _: route.auth.stale_if_error is None,
        "without stale_if_error no old answer is used at all; write stale_if_error: 1m, or take this out",
    ),
    IdleKey(
        ("auth", "stale_if_error"),
        _tolerates_no_method,
        "match.methods has none of stale_methods, so that no old answer is used; take this out",
    ),
    IdleKey(
        ("auth", "max_age"),
        _asks_for_older,
        "no answer is kept for longer than cache.ttl; write less than that, or take this out",
    ),
    IdleKey(
        ("auth", "any_scope"),
        lambda route, _: not frozenset(route.auth.any_scope).isdisjoint(route.auth.scopes),
        "scopes demands one of these already; take this out, or the scope there",
    ),
    IdleKey(("auth", "streams"), _has_no_backend, _NO_BACKEND),
    IdleKey(("balance",), _has_one_backend, _ONE_BACKEND),
    IdleKey(("backend", "weight"), _has_one_backend, _ONE_BACKEND),
    IdleKey(("outliers", "eject"), _has_one_backend, _ONE_BACKEND),
    IdleKey(("outliers", "max_ejected"), _has_one_backend, _ONE_BACKEND),
    IdleKey(
        ("outliers", "max_ejected"),
        _ejects_nobody,
        "it is less than one backend, so that none is ever passed over; write more, or outliers: null",
    ),
    IdleKey(
        ("allow_encoded_slash",),
        _has_no_such_path,
        "no path with %2F takes this route; take this out, or write a match.path with {name} or **",
    ),
    IdleKey(
        ("authorization",),
        _keeps_nothing,
        "auth.token_from leaves authorization out, and then it is stripped; add it there, or write strip",
    ),
    IdleKey(
        ("connect_timeout",),
        lambda route, _: route.connect_timeout > route.timeout,
        "timeout ends before it; write less than timeout",
    ),
    IdleKey(
        ("retries",),
        _repeats_no_method,
        "match.methods has none that is idempotent, so that nothing is sent again; take this out",
    ),
    *(
        IdleKey((key,), _has_no_backend, _NO_BACKEND)
        for key in (
            "balance",
            "health",
            "outliers",
            "strip_prefix",
            "rewrite",
            "preserve_host",
            "response_headers",
            "timeout",
            "connect_timeout",
            "read_timeout",
            "retries",
            "connection_max_age",
        )
    ),
)
