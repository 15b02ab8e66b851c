"""The request target and the host it is meant for, normalised once into a frozen value.

The path in a `Target` is the path that is matched, authorised and forwarded. What backends could read differently
(dot segments, encoded slashes, empty segments) is refused here rather than guessed at. RFC 3986 §6.2.2,
RFC 9112 §3.2; the attacks are those of CVE-2019-9901, CVE-2021-29492, CVE-2021-32779 and GHSA-p224-6x5r-fjpm.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

from gateway.config.percent import canonical_percent, has_bad_triplet
from gateway.http.record import record
from gateway.http.refusal import Refusal

_PRINTABLE = re.compile(r"[!-~]+")
# An origin-form target that is sound and canonical as it stands, as nearly all are: a path without triplets in which
# no segment is empty or begins with a dot. What does not match may be sound all the same.
_SEGMENT = r"/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*+"
_QUERY = r"""[!"$&-~]*+(?:%[0-9A-Fa-f]{2}[!"$&-~]*+)*+"""
_PLAIN = re.compile(rf"((?:{_SEGMENT})++/?+|/)(?:\?({_QUERY}))?+")
_ABSOLUTE = re.compile(r"(?i:https?)://([^/?#]*)(.*)")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{0,5}))?")
_HOST_MAX_CHARS = 255
_PORT_MAX = 65535
# A dot segment, also with a path parameter behind it, which servlet containers cut off before resolving, and also
# beside an encoded slash: a route that lets those through has a backend that decodes them (CVE-2021-29492).
_DOT_SEGMENT = re.compile(r"(?:/|%2F)\.{1,2}(?:(?:;|%3B)[^/]*)?(?=/|%2F|$)")
# Overlong UTF-8 of . / and \, which lenient decoders take for the characters themselves (RFC 3629 §3).
_OVERLONG = re.compile(r"%C0(?:\.|%AE)|%C0%[2A]F|%C1%[19]C|%E0%80%A[EF]|%E0%81%9C|%F0%80%80%A[EF]|%F0%80%81%9C")
_REFUSED_METHODS = frozenset({"CONNECT", "TRACE", "PRI"})


@record
class Target:
    """`path` starts with a slash and is canonical; `query` is as it came, `None` without a question mark."""

    host: str  # lower case, without port: what routes are matched by
    authority: str  # host and port as sent: what backends are told
    path: str
    query: str | None = field(repr=False)  # may hold secrets
    has_encoded_slash: bool

    @property
    def segments(self) -> list[str]:
        return self.path[1:].split("/")


def read_target(method: str, raw: str, hosts: Sequence[str]) -> Target | Refusal:
    """The target of a request from its method, its request target and all its `Host` values."""
    if method in _REFUSED_METHODS:
        return Refusal("invalid_request", f"the method {method} is not served here")
    plain = _PLAIN.fullmatch(raw)
    if plain is None and not _PRINTABLE.fullmatch(raw):
        return _invalid("the request target has a blank, a control or a non-ASCII character")
    if len(hosts) != 1:
        return Refusal("invalid_request", "a request has exactly one Host header")
    authority = hosts[0]
    if plain is not None and (host := read_host(authority)) is not None:
        return Target(host, authority, plain[1], plain[2], has_encoded_slash=False)
    if absolute := _ABSOLUTE.fullmatch(raw):
        # RFC 9112 §3.2.2: the authority of an absolute-form target replaces Host, which must be there all the same.
        if read_host(authority) is None:
            return Refusal("invalid_request", "the Host header is no host")
        authority, raw = absolute[1], absolute[2]
        raw = raw if raw.startswith("/") else "/" + raw
    host = read_host(authority)
    if host is None:
        return Refusal("invalid_request", "the Host header or the target's authority is no host")
    return _read_path(raw, host, authority)


def read_host(authority: str) -> str | None:
    """The host of `host[:port]` in lower case and without a trailing dot; `None` when it is none (RFC 3986 §3.2)."""
    return _read_host(authority) if len(authority) <= _HOST_MAX_CHARS else None


@lru_cache(maxsize=1024)
def _read_host(authority: str) -> str | None:
    match = _AUTHORITY.fullmatch(authority)
    if match is None or int(match[2] or 0) > _PORT_MAX:
        return None
    host = match[1].lower()
    if host.startswith("["):
        try:
            IPv6Address(host[1:-1])
        except AddressValueError:
            return None
        return host
    host = host.removesuffix(".")
    return host if host and "" not in host.split(".") else None


def path_problem(path: str) -> str | None:
    """What keeps a canonical path from being forwarded, in words for the client; `None` when nothing does.

    Asked again of what a strip or a rewrite produced (CVE-2026-48020). An encoded slash is the route's to allow.
    """
    if not path.startswith("/"):
        return "the path does not start with a slash"
    if "//" in path:
        return "the path has an empty segment"
    if "\\" in path:
        return "the path has a backslash"
    if ("/." in path or "%2F." in path) and _DOT_SEGMENT.search(path):
        return "the path has a dot segment"
    if "%" in path and ("%5C" in path or "%00" in path or _OVERLONG.search(path)):
        return "the path has an encoded backslash, NUL or overlong character"
    return None


def _read_path(raw: str, host: str, authority: str) -> Target | Refusal:
    if "#" in raw:
        return _invalid("the request target has a fragment")
    if has_bad_triplet(raw):
        return _invalid("a percent sign is not followed by two hex digits")
    path, mark, query = raw.partition("?")
    path = canonical_percent(path)
    if problem := path_problem(path):
        return _invalid(problem)
    return Target(host, authority, path, query if mark else None, "%2F" in path)


def _invalid(detail: str) -> Refusal:
    return Refusal("invalid_target", detail)
