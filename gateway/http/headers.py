"""Which header fields pass the gateway, in which order they are taken away and added.

Hop-by-hop fields and forged identity fields go first, identity fields come last: nothing a client sends can remove
or imitate what the gateway says (CVE-2024-45410, CVE-2022-31813, CVE-2025-64484, CVE-2026-54763).
RFC 9110 §7.6 (hop-by-hop, Via), RFC 9112 §6 and §7.1.2 (framing, trailers).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.config.fields import fold_header_name as fold
from gateway.http.forwarded import Caller

Pairs = Sequence[tuple[str, str]]

# RFC 9110 §7.6.1, with those of RFC 2616 that backends still take for their own.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# What each message gets anew: framing and routing are never taken over as text.
_FRAMING = frozenset({"content-length", "expect", "host"})
# What proxies and CDNs tell servers behind them of the client, and of the request as it was before they rewrote it.
_FROM_PROXIES = frozenset(
    {
        "cf-connecting-ip",
        "client-ip",
        "fastly-client-ip",
        "forwarded",
        "front-end-https",
        "true-client-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-envoy-external-address",
        "x-envoy-original-path",
        "x-forwarded",
        "x-host",
        "x-http-host-override",
        "x-original-host",
        "x-original-method",
        "x-original-uri",
        "x-original-url",
        "x-originating-ip",
        "x-real-ip",
        "x-remote-addr",
        "x-remote-ip",
        "x-rewrite-url",
        "x-scheme",
        "x-url-scheme",
    }
)
_FROM_PROXIES_PREFIX = "x-forwarded-"
# What a Connection header may not take away: these are end-to-end, or the gateway's own.
_NEVER_NOMINATED = frozenset(
    {"authorization", "cache-control", "content-encoding", "content-type", "cookie", "host", "origin", "traceparent"}
)
_ALWAYS_SET = frozenset({"x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"})
# A backend says nothing of these: what they tell the client is the gateway's to tell.
_SAID_BY_US = frozenset({"content-length", "x-identity-stale", "x-request-id"})
_CORS_PREFIX = "access-control-"


@dataclass(frozen=True, slots=True)
class RequestRules:
    """What a route does to the fields of a request. Names to remove are lower case."""

    identity_names: frozenset[str]  # of all routes, folded: stripped on every route
    keep_authorization: bool
    remove: frozenset[str]
    set: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ResponseRules:
    remove: frozenset[str]
    set: tuple[tuple[str, str], ...]
    own_cors: bool  # the gateway answers for CORS, so the backend does not


def values_of(headers: Pairs, wanted: str) -> list[str]:
    """All values of a field, in order; `wanted` in lower case."""
    return [value for name, value in headers if name.lower() == wanted]


def nominated(headers: Pairs) -> frozenset[str]:
    """The names in `Connection`, lower case: hop-by-hop by the sender's word (RFC 9110 §7.6.1)."""
    options = ",".join(values_of(headers, "connection")).lower().split(",")
    return frozenset(option.strip() for option in options) - _NEVER_NOMINATED


def request_to_backend(
    headers: Pairs,
    rules: RequestRules,
    caller: Caller,
    *,
    authority: str,
    request_id: str,
    version: tuple[int, int],
    identity: Iterable[tuple[str, str]],
) -> list[tuple[str, str]]:
    """The fields of the request that a backend gets, but for `Host` and the framing."""
    gone = nominated(headers)
    via: list[str] = []
    kept: list[tuple[str, str]] = []
    for name, value in headers:
        lower, folded = name.lower(), fold(name)
        if lower == "via":
            via.append(value)
        elif not (lower in gone or _is_dropped(lower, folded, rules, caller)):
            kept.append((name, value))
    kept += _set_always(caller, authority, request_id)
    kept.append(("Via", ", ".join([*via, f"{version[0]}.{version[1]} gateway"])))
    kept = [(name, value) for name, value in kept if name.lower() not in rules.remove]
    kept = replaced(kept, rules.set)
    return replaced(kept, identity)


def response_to_client(headers: Pairs, rules: ResponseRules) -> list[tuple[str, str]]:
    """The fields of a backend's answer that the client gets, but for the framing and `X-Request-Id`."""
    gone = nominated(headers) | rules.remove
    kept = [(name, value) for name, value in headers if not _is_dropped_answer(name.lower(), gone, rules)]
    return replaced(kept, rules.set)


def replaced(headers: Pairs, new: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """`headers` with each of `new` in the place of all of its name, however that is spelled."""
    new = list(new)
    names = {fold(name) for name, _ in new}
    return [pair for pair in headers if fold(pair[0]) not in names] + new


def _is_dropped(lower: str, folded: str, rules: RequestRules, caller: Caller) -> bool:
    if folded in _HOP_BY_HOP or folded in _FRAMING or folded in rules.identity_names or folded in _ALWAYS_SET:
        return True
    if folded in _FROM_PROXIES or folded.startswith(_FROM_PROXIES_PREFIX):
        # Believed from a trusted peer, but only in the spelling it was meant in.
        return not caller.trusted or folded != lower
    return lower == "authorization" and not rules.keep_authorization


def _is_dropped_answer(lower: str, gone: frozenset[str], rules: ResponseRules) -> bool:
    if lower in gone or lower in _HOP_BY_HOP or lower in _SAID_BY_US:
        return True
    return rules.own_cors and lower.startswith(_CORS_PREFIX)


def _set_always(caller: Caller, authority: str, request_id: str) -> list[tuple[str, str]]:
    hops = [*caller.forwarded_for, caller.peer] if caller.peer else list(caller.forwarded_for)
    fields = [("X-Request-Id", request_id)]
    if hops:
        fields.append(("X-Forwarded-For", ", ".join(hops)))
    return [*fields, ("X-Forwarded-Proto", caller.proto), ("X-Forwarded-Host", caller.host or authority)]
