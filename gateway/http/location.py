"""Rewrites URLs in a backend's response: the backend's own URL becomes the one by which the client reaches it.

Backends build redirects from their own address, without the prefix that the route stripped. Unchanged, these would lead
clients around the gateway, or to nowhere. This module changes `Location`, `Content-Location` and the URL in `Refresh`,
and only URLs whose authority is that of one of the route's backends, or the `Host` that the backend was sent. All other
URLs pass unchanged, and so does a bare path: a backend that builds it from `X-Forwarded-Prefix` would get the prefix
twice. nginx (`proxy_redirect default`) does the same.

Only the part of the URL behind the authority comes from the backend, so that a backend cannot name another host.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from gateway.http.backend import DEFAULT_PORT, UNIX, Backend
from gateway.http.host import canonical_host

# RFC 3986 §4.2: with the scheme or without. A URL with a user, or with a backslash, by which a browser may read another
# authority than we do, belongs to no backend.
_URL = re.compile(r"(?:([Hh][Tt][Tt][Pp][Ss]?):)?//(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{0,5}))?(?=[/?#]|$)")
# HTML, "shared declarative refresh": the seconds, and behind them the URL, with or without a name and quotes.
_REFRESH = re.compile(r"""([0-9.]*[ \t]*[;,][ \t]*(?:url[ \t]*=[ \t]*)?["']?)(.*)""", re.IGNORECASE)
_LEADING_NAMES = frozenset({b"location", b"content-location", b"refresh"})
# Scheme, host and port. A longer text does not name a host (RFC 1035 §2.3.4) and is not remembered.
_AUTHORITY_MAX_CHARS = 280


@dataclass(frozen=True, slots=True)
class Outside:
    """Says where the client sees the backend's resources. `authority` is empty where the client named none.

    `prefix` stands before the backend's path in the client's path. `host` is the client's `Host` if it was sent on.
    """

    scheme: str
    authority: str
    prefix: str = ""
    host: str = ""


def leads_somewhere(lower_name: bytes) -> bool:
    """Whether a field of a response holds a URL that this module rewrites."""
    return lower_name in _LEADING_NAMES


class OwnUrls:
    """Knows which URLs belong to the backends of a route, compiled from the backends' addresses."""

    def __init__(self, backends: Sequence[Backend]) -> None:
        own: dict[str, list[_Own]] = {}
        # The longest path comes first, because it fits best.
        for backend in sorted(backends, key=lambda one: -len(one.path)):
            host, one = _own(backend)
            own.setdefault(host, []).append(one)
        self._own = {host: tuple(ones) for host, ones in own.items()}
        self._paths = tuple(sorted((backend.path for backend in backends), key=lambda path: -len(path)))
        self._ports = frozenset(backend.port for backend in backends)

    def led_outside(self, line: bytes, outside: Outside) -> bytes:
        """The value of a response's field, with its URL rewritten for the client."""
        name, _, value = line.partition(b":")
        lower = name.lower()
        if lower not in _LEADING_NAMES:
            return line
        text, before = value.strip(b" \t").decode("latin-1"), ""
        if lower == b"refresh":
            found = _REFRESH.fullmatch(text)
            if found is None:
                return line
            before, text = found[1], found[2]
        led = self.url_outside(text, outside)
        return line if led is text else name + b": " + (before + led).encode("latin-1")

    def url_outside(self, url: str, outside: Outside) -> str:
        """`url` rewritten for the client; unchanged where it is not a backend's own."""
        found = _URL.match(url)
        if found is None or (end := found.end()) > _AUTHORITY_MAX_CHARS or (at := _read_authority(url[:end])) is None:
            return url
        path = None
        for own in self._own.get(at.host, ()):
            # A backend that believes X-Forwarded-Proto takes its scheme from there, and the authority from Host.
            if at.scheme in {"", own.scheme, outside.scheme} and (at.port or own.default_port) == own.port:
                behind = url[end:]
                path = _without(behind, own.path) if own.path else behind
                if path is not None:
                    break
        if path is not None:
            path = outside.prefix + path
        elif outside.host and self._is_host(at, outside.host):
            path = self._path_at_host(url[end:], outside.prefix)
        if path is None:
            return url
        return f"{outside.scheme}://{outside.authority}{path}" if outside.authority else _without_authority(path) or url

    def _is_host(self, at: _At, host: str) -> bool:
        """Whether this is the `Host` that the backend was sent; nginx and Apache replace its port with their own."""
        sent = _read_authority(f"//{host}") if _URL.fullmatch(f"//{host}") else None
        if sent is None or sent.host != at.host:
            return False
        default = DEFAULT_PORT.get(at.scheme, 0)
        return (at.port or default) == (sent.port or default) or at.port in self._ports

    def _path_at_host(self, behind: str, prefix: str) -> str | None:
        """The path for a backend that uses the client's `Host`, and so may use the client's path as well."""
        if prefix and _without(behind, prefix) is not None:
            return behind
        path = next((path for own in self._paths if (path := _without(behind, own)) is not None), None)
        return None if path is None else prefix + path


class _At(NamedTuple):
    """Holds the authority of a URL. `scheme` is lower case or empty; `port` is 0 where the URL has none."""

    scheme: str
    host: str
    port: int


class _Own(NamedTuple):
    scheme: str
    port: int
    default_port: int
    path: str


def _own(backend: Backend) -> tuple[str, _Own]:
    """By its host in canonical form."""
    if backend.scheme == UNIX:
        return "localhost", _Own("http", DEFAULT_PORT["http"], DEFAULT_PORT["http"], backend.path)
    host = canonical_host(f"[{backend.host}]" if ":" in backend.host else backend.host) or backend.host
    return host, _Own(backend.scheme, backend.port, DEFAULT_PORT[backend.scheme], backend.path)


@lru_cache(maxsize=256)
def _read_authority(text: str) -> _At | None:
    """Read a URL up to its path; `None` where it has no valid host."""
    found = _URL.fullmatch(text)
    host = None if found is None else canonical_host(found[2])
    if found is None or host is None:
        return None
    return _At((found[1] or "").lower(), host, int(found[3] or 0))


def _without(behind: str, path: str) -> str | None:
    """The rest of a path and query behind `path`; `None` where `path` is not a prefix of whole segments."""
    if not behind.startswith(path):
        return None
    rest = behind[len(path) :]
    return rest if not rest or rest[0] in "/?#" else None


def _without_authority(path: str) -> str | None:
    path = path if path.startswith("/") else f"/{path}"
    # Two slashes, or what browsers take for two, would begin another authority. Browsers ignore a tab between them.
    return None if path[1:2] in {"/", "\\", "\t"} else path
