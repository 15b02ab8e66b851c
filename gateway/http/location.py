"""Where a backend's answer leads: a URL of the backend's own becomes the one by which the client sees the same thing.

Backends build redirects from what they know of themselves: their own address, without what the route stripped. Left as
they are, these lead clients around the gateway, or to nowhere. Changed are `Location`, `Content-Location` and the URL
in `Refresh`, and only URLs whose authority is a backend's of the route, or the `Host` that it was sent. All others are
the backend's word to the client, and so is a path alone: a backend that builds those from `X-Forwarded-Prefix` would
get the prefix twice. nginx (`proxy_redirect default`) does the same.

Nothing of the result but what stood behind the authority comes of the backend, so that it cannot name another host.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.config.host import canonical_host
from gateway.config.upstream import Backend

# RFC 3986 §4.2: with the scheme or without. With a user, or with what a browser may read as another authority than we
# do (a backslash), it is nobody's own.
_URL = re.compile(r"(?:(https?):)?//(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{0,5}))?(?=[/?#]|$)", re.IGNORECASE)
# HTML, "shared declarative refresh": the seconds, and behind them the URL, with or without a name and quotes.
_REFRESH = re.compile(r"""([0-9.]*[ \t]*[;,][ \t]*(?:url[ \t]*=[ \t]*)?["']?)(.*)""", re.IGNORECASE)
_DEFAULT_PORT = {"http": 80, "https": 443}
_UNIX = "unix"
_LEADING_NAMES = frozenset({b"location", b"content-location", b"refresh"})


@dataclass(frozen=True, slots=True)
class Outside:
    """Where the client sees what the backend serves. `authority` is empty where the client named none.

    `prefix` is what the client's path has before the backend's, `host` the client's `Host` where it was sent on.
    """

    scheme: str
    authority: str
    prefix: str = ""
    host: str = ""


def leads_somewhere(lower_name: bytes) -> bool:
    """Whether a field of an answer holds a URL that is looked at here."""
    return lower_name in _LEADING_NAMES


def led_outside(line: bytes, backends: Sequence[Backend], outside: Outside) -> bytes:
    """A field of an answer, with the URL in it that the client is to have."""
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
    return name + b": " + (before + url_outside(text, backends, outside)).encode("latin-1")


def url_outside(url: str, backends: Sequence[Backend], outside: Outside) -> str:
    """`url` as the client is to have it; as it came where it is not a backend's own."""
    found = _URL.match(url)
    host = None if found is None else canonical_host(found[2])
    if found is None or host is None:
        return url
    scheme, port, behind = (found[1] or "").lower(), int(found[3] or 0), url[found.end() :]
    path = _path_at_backend(scheme, host, port, behind, backends, outside)
    if path is None and _is_host(scheme, host, port, backends, outside):
        path = _path_at_host(behind, backends, outside.prefix)
    return url if path is None else _joined(path, outside) or url


def _path_at_backend(
    scheme: str, host: str, port: int, behind: str, backends: Sequence[Backend], outside: Outside
) -> str | None:
    """What stands behind the path of the backend whose authority this is, the longest such path first."""
    own = [backend for backend in backends if _is_backend(scheme, host, port, backend, outside.scheme)]
    for backend in sorted(own, key=lambda one: -len(one.path)):
        path = _without(behind, backend.path)
        if path is not None:
            return outside.prefix + path
    return None


def _is_backend(scheme: str, host: str, port: int, backend: Backend, client_scheme: str) -> bool:
    own_scheme = "http" if backend.scheme == _UNIX else backend.scheme
    own_host, own_port = ("localhost", 80) if backend.scheme == _UNIX else (backend.host, backend.port)
    if canonical_host(f"[{own_host}]" if ":" in own_host else own_host) != host:
        return False
    if scheme in {own_scheme, ""}:
        return (port or _DEFAULT_PORT[own_scheme]) == own_port
    # A backend that believes X-Forwarded-Proto takes its scheme from there, and the authority from Host.
    return scheme == client_scheme and (port or _DEFAULT_PORT[own_scheme]) == own_port


def _is_host(scheme: str, host: str, port: int, backends: Sequence[Backend], outside: Outside) -> bool:
    """Whether this is the `Host` that the backend was sent; nginx and Apache put their own port in the place of its."""
    sent = _URL.fullmatch(f"//{outside.host}") if outside.host else None
    if sent is None or canonical_host(sent[2]) != host:
        return False
    default = _DEFAULT_PORT.get(scheme, 0)
    return (port or default) == (int(sent[3] or 0) or default) or port in {backend.port for backend in backends}


def _path_at_host(behind: str, backends: Sequence[Backend], prefix: str) -> str | None:
    """The same for a backend that goes by the client's `Host`, and so may go by the client's path as well."""
    if prefix and _without(behind, prefix) is not None:
        return behind
    paths = (_without(behind, backend.path) for backend in sorted(backends, key=lambda one: -len(one.path)))
    path = next((path for path in paths if path is not None), None)
    return None if path is None else prefix + path


def _without(behind: str, path: str) -> str | None:
    """What of a path and query stands behind `path`; `None` where that is no prefix of whole segments."""
    if not behind.startswith(path):
        return None
    rest = behind[len(path) :]
    return rest if not rest or rest[0] in "/?#" else None


def _joined(path: str, outside: Outside) -> str | None:
    if outside.authority:
        return f"{outside.scheme}://{outside.authority}{path}"
    path = path if path.startswith("/") else f"/{path}"
    # Two slashes, or what browsers take for them, would begin another authority.
    return None if path[1:2] in {"/", "\\"} else path
