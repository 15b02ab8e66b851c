"""The request target and the host it is meant for, normalised once into a frozen value.

The path in a `Target` is the path that is matched, authorised and forwarded. Paths that backends could read differently
(dot segments, encoded slashes, empty segments) are refused here. Path parameters (`/a;v=1`) are the one exception.
Servlet containers cut them off before they map a path to a resource. So routes are matched and policies chosen by the
segments without them, and only a route that allows them forwards them. RFC 3986 §3.3, §6.2.2, RFC 9112 §3.2; the
attacks are those of CVE-2019-9901, CVE-2021-29492, CVE-2021-32779 and GHSA-p224-6x5r-fjpm.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from gateway.http.bounded_memo import BoundedMemo
from gateway.http.host import canonical_host
from gateway.http.percent import canonical_percent, has_bad_triplet
from gateway.http.refusal import Refusal
from gateway.http.syntax import VISIBLE

_PRINTABLE: Final = re.compile(VISIBLE)
# An origin-form target that is sound and canonical as it stands, as nearly all are: a path without triplets in which
# no segment is empty, begins with a dot or has parameters. What does not match may be sound all the same.
_SEGMENT = r"/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*+"
_QUERY = r"""[!"$&-~]*+(?:%[0-9A-Fa-f]{2}[!"$&-~]*+)*+"""
_PLAIN: Final = re.compile(rf"((?:{_SEGMENT})++/?+|/)(?:\?({_QUERY}))?+")
_ABSOLUTE: Final = re.compile(r"(?i:https?)://([^/?#]*)(.*)")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{0,5}))?")
_HOST_MAX_CHARS: Final = 255
_AUTHORITIES_MAX: Final = 1024
_PORT_MAX = 65535
# A dot segment, also with a path parameter behind it, which servlet containers cut off before resolving, and also
# beside an encoded slash: a route that lets those through has a backend that decodes them (CVE-2021-29492).
_DOT_SEGMENT = re.compile(r"(?:/|%2F)\.{1,2}(?:(?:;|%3B)[^/]*)?(?=/|%2F|$)")
# The part that a backend may cut off a segment, from the first semicolon on. Some backends decode before they cut.
_PARAMETERS = re.compile(r"(?:;|%3B)[^/]*")
# Overlong UTF-8 of . / and \, which lenient decoders take for the characters themselves (RFC 3629 §3).
_OVERLONG = re.compile(r"%C0(?:\.|%AE)|%C0%[2A]F|%C1%[19]C|%E0%80%A[EF]|%E0%81%9C|%F0%80%80%A[EF]|%F0%80%81%9C")
_REFUSED_METHODS: Final = frozenset({"CONNECT", "TRACE", "PRI"})


def with_query(path: str, query: str | None) -> str:
    return path if query is None else f"{path}?{query}"


class Target:
    """Holds a canonical `path` that begins with a slash, and the `query` as it came, `None` without a question mark.

    Routes are matched by `host`, in lower case and without port. Backends are told `authority`, with the port. Both are
    empty where HTTP/1.0 named none. Routes are also matched by `bare_path`, the path without its parameters; it is
    `path` itself where there are none. `path_and_query` is both as one text. The query may hold secrets.
    """

    __slots__ = (
        "authority",
        "bare_path",
        "has_encoded_slash",
        "has_parameters",
        "host",
        "path",
        "path_and_query",
        "query",
    )

    def __init__(
        self,
        host: str,
        authority: str,
        path: str,
        query: str | None,
        has_encoded_slash: bool,
        bare_path: str,
        path_and_query: str | None = None,
    ) -> None:
        self.host = host
        self.authority = authority
        self.path = path
        self.query = query
        self.has_encoded_slash = has_encoded_slash
        self.bare_path = bare_path
        self.has_parameters = bare_path != path
        self.path_and_query = with_query(path, query) if path_and_query is None else path_and_query

    def with_query(self, query: str | None) -> Target:
        """The same with another query."""
        return Target(self.host, self.authority, self.path, query, self.has_encoded_slash, self.bare_path)

    @property
    def segments(self) -> list[str]:
        """The segments that routes are matched by."""
        return self.bare_path[1:].split("/")

    def has_parameters_at(self, index: int) -> bool:
        """Whether the segment at this place has any."""
        return self.has_parameters and bool(_PARAMETERS.search(self.path[1:].split("/")[index]))


class Authority(NamedTuple):
    """Holds host and port. `host` is canonical. `text` has an address in canonical form, and a name as it was sent."""

    host: str
    text: str


_NO_AUTHORITY: Final = Authority("", "")
_AUTHORITIES: Final = BoundedMemo[str, Authority](_AUTHORITIES_MAX)
_known_authorities: Final = _AUTHORITIES.known


def read_target(method: str, raw: str, hosts: Sequence[str], *, needs_host: bool = True) -> Target | Refusal:
    """Read the target of a request from its method, its request target and all its `Host` values.

    HTTP/1.0 may come without any `Host`: `needs_host` is false for it (RFC 9112 §3.2).
    """
    if method in _REFUSED_METHODS:
        return Refusal("invalid_request", f"the method {method} is not served here")
    plain = _PLAIN.fullmatch(raw)
    if plain is None and not _PRINTABLE.fullmatch(raw):
        return _invalid("the request target has a blank, a control or a non-ASCII character", _where_unprintable(raw))
    if len(hosts) != 1 and (hosts or needs_host):
        how_many = f"there are {len(hosts)} Host fields" if hosts else "there is no Host field"
        return Refusal("invalid_request", "a request has exactly one Host header", reason=how_many)
    authority = read_authority(hosts[0]) if hosts else _NO_AUTHORITY
    if authority is None:
        return Refusal("invalid_request", "the Host header is not a host")
    if plain is not None:
        path = plain[1]
        return Target(authority.host, authority.text, path, plain[2], False, path, raw)
    if absolute := _ABSOLUTE.fullmatch(raw):
        # RFC 9112 §3.2.2: the authority of an absolute-form target replaces Host.
        authority, raw = read_authority(absolute[1]), absolute[2]
        raw = raw if raw.startswith("/") else "/" + raw
    if authority is None:
        return Refusal("invalid_request", "the target's authority is not a host")
    return _read_path(raw, authority)


def read_host(authority: str) -> str | None:
    """The host of `host[:port]` in canonical form; `None` when it is not valid (RFC 3986 §3.2)."""
    found = read_authority(authority)
    return None if found is None else found.host


def read_authority(text: str) -> Authority | None:
    """Read `host[:port]`; `None` when it is not valid (RFC 3986 §3.2)."""
    known = _known_authorities.get(text)
    if known is None and len(text) <= _HOST_MAX_CHARS and (known := _read_authority(text)) is not None:
        _AUTHORITIES.keep(text, known)
    return known


def _read_authority(text: str) -> Authority | None:
    match = _AUTHORITY.fullmatch(text)
    if match is None or int(match[2] or 0) > _PORT_MAX:
        return None
    host = canonical_host(match[1])
    if host is None:
        return None
    # Only addresses are rewritten: the case of a name means nothing, and some backends show it.
    is_address = host.startswith("[") or host.rpartition(".")[2].isdigit()
    return Authority(host, (host if is_address else match[1]) + text[match.end(1) :])


def path_problem(path: str) -> str | None:
    """Say why a canonical path must not be forwarded, in words for the client; `None` when it may be.

    Call it again for the path after a strip or a rewrite (CVE-2026-48020). The route may allow an encoded slash.
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


def _read_path(raw: str, authority: Authority) -> Target | Refusal:
    if "#" in raw:
        return _invalid("the request target has a fragment")
    if has_bad_triplet(raw):
        return _invalid("a percent sign is not followed by two hex digits")
    path, mark, query = raw.partition("?")
    path = canonical_percent(path)
    if problem := path_problem(path) or parameters_problem(path):
        return _invalid(problem)
    bare_path = _PARAMETERS.sub("", path) if has_parameters(path) else path
    return Target(authority.host, authority.text, path, query if mark else None, "%2F" in path, bare_path)


def has_parameters(path: str) -> bool:
    """Whether a segment of a canonical path has parameters."""
    return ";" in path or "%3B" in path


def parameters_problem(path: str) -> str | None:
    """Say why the parameters of a canonical path can be cut off in more than one way; `None` when they cannot."""
    if not has_parameters(path):
        return None
    for segment in path.split("/"):
        parts = _PARAMETERS.split(segment, maxsplit=1)
        if len(parts) > 1 and "%2F" in segment:
            # A backend that decodes before cutting finds other segments than one that cuts first.
            return "a segment has both an encoded slash and parameters"
    if "//" in _PARAMETERS.sub("", path):
        return "the path has an empty segment"
    return None


def _invalid(detail: str, reason: str | None = None) -> Refusal:
    return Refusal("invalid_target", detail, reason=reason)


def _where_unprintable(raw: str) -> str | None:
    for place, character in enumerate(raw, start=1):
        if not "!" <= character <= "~":
            return f"character {place} of the request target is U+{ord(character):04X}"
    return None
