"""Addresses of the servers that the gateway calls: backends of routes, endpoints of providers."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from gateway.config.values import quoted
from gateway.http.backend import DEFAULT_PORT, UNIX, Backend
from gateway.http.percent import canonical_percent, has_bad_triplet
from gateway.http.syntax import VISIBLE

_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,253}")
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*")
# What can be told apart from the prefix: a socket whose path has a colon needs another name.
_UNIX_BACKEND = re.compile(r"unix:(/[^\x00-\x20:\x7f]{1,106})(?::(/[!-~]*))?")
_HEALTH_PATH = re.compile(r"/[!-\"$-~]{0,2047}")
_SERVER_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){0,30}")
_PRINTABLE = re.compile(VISIBLE)
_URI_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?@!$&'()*+,;=%\[\]-]+")


def parse_backend(value: object) -> Backend:
    """A `Backend` from `http://host:port/prefix` or `unix:/path/of/socket:/prefix`."""
    if isinstance(value, Backend):
        return value
    if isinstance(value, str) and value.startswith(f"{UNIX}:"):
        scheme, host, port, path = _split_unix(value)
    else:
        scheme, host, port, path = _split(value, example="http://orders:8000")
    segments = canonical_percent(path).split("/")
    if not _PATH.fullmatch(path) or any(s in {".", ".."} for s in segments) or "" in segments[1:-1]:
        raise ValueError(f"the path of {quoted(value)} is not a plain path; write one such as /base, or none")
    return Backend(scheme, host, port, canonical_percent(path).rstrip("/"))


def parse_endpoint(value: object) -> str:
    """The URL of a provider's endpoint or an issuer, as it stands in the file (RFC 8414 §2)."""
    _split(value, example="https://sso.example.com/realms/demo", query=True)
    return str(value)


def parse_issuer(value: object) -> str:
    """An issuer (RFC 8414 §2). The address of its discovery document is not one, and no token carries it as `iss`."""
    issuer = parse_endpoint(value)
    before, found, document = issuer.partition("/.well-known/")
    if found:
        # RFC 8414 §3 puts the issuer's path behind the document's name, OpenID Connect puts it before.
        meant = "/".join((before, *document.split("/")[1:]))
        raise ValueError(f"{quoted(value)} is the address of a discovery document; write the issuer: {meant}")
    return issuer


def parse_resource(value: object) -> str:
    """A resource identifier (RFC 9728 §1.2): an https URL without a fragment."""
    example = "https://mcp.example.com/mcp"
    scheme, _, _, path = _split(value, example=example, query=True)
    if scheme != "https":
        raise ValueError(f"{quoted(value)} is not an https URL, which a resource identifier is; write {example}")
    if not _URI_CHARACTERS.fullmatch(str(value)):
        # It goes into a quoted text of the challenge (RFC 6750 §3), and a quote in it would end that.
        raise ValueError(f"{quoted(value)} has a character that no URL has (RFC 3986 §2); write {example}")
    if canonical_percent(path) != path or any(part in {".", ".."} for part in path.split("/")) or "//" in path:
        raise ValueError(f"the path of {quoted(value)} is not in its canonical form; write {example}")
    return str(value)


def parse_health_path(value: object) -> str:
    """The target of a question to a backend: a path, with a query if need be."""
    if not isinstance(value, str) or not _HEALTH_PATH.fullmatch(value) or has_bad_triplet(value):
        raise ValueError(f"{quoted(value)} is not a path; write one such as /healthz")
    return value


def parse_server_name(value: object) -> str:
    """The name for which a server shows its certificate (RFC 6066 §3)."""
    if not isinstance(value, str) or not _SERVER_NAME.fullmatch(value):
        raise ValueError(f"{quoted(value)} is not a name of a server; write one such as orders.internal")
    return value


def _split_unix(value: str) -> tuple[str, str, int, str]:
    found = _UNIX_BACKEND.fullmatch(value)
    if found is None or has_bad_triplet(found[2] or ""):
        raise ValueError(f"{quoted(value)} names no Unix socket; write unix:/run/orders.sock, a prefix as in …:/base")
    return UNIX, found[1], 0, found[2] or ""


def _split(value: object, *, example: str, query: bool = False) -> tuple[str, str, int, str]:
    instead = f"write a URL such as {example}"
    if isinstance(value, str) and "@" in value.partition("?")[0]:
        # First of all, and without showing it: what stands before the @ may be a password.
        raise ValueError("the URL carries a user or a password; write it without, and the secret under its own key")
    if not isinstance(value, str) or not _PRINTABLE.fullmatch(value) or has_bad_triplet(value):
        raise ValueError(f"{quoted(value)} is not a URL; {instead}")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"{quoted(value)} is not a URL; {instead}") from None
    if parts.scheme not in DEFAULT_PORT or not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise ValueError(f"{quoted(value)} is not an http or https URL with a host; {instead}")
    if "#" in value or ("?" in value and not query):
        raise ValueError(f"{quoted(value)} carries a query or a fragment; {instead}")
    if port == 0:
        raise ValueError(f"{quoted(value)} names port 0; {instead}")
    return parts.scheme, parts.hostname, port or DEFAULT_PORT[parts.scheme], parts.path
