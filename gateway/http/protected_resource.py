"""Metadata of a protected resource (RFC 9728): its location and its content. Pure.

A client that knows only the resource finds the authorization server from a 401: the challenge names the metadata, and
the metadata names the server.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.http.host import canonical_host

WELL_KNOWN = "/.well-known/oauth-protected-resource"
_METHODS_MEMBER = "bearer_methods_supported"
METHODS = ("GET", "HEAD", "OPTIONS")
# The document is public: any origin may ask for it, with any header (MCP-Protocol-Version).
CORS = (("Access-Control-Allow-Origin", "*"),)
PREFLIGHT = (
    *CORS,
    ("Access-Control-Allow-Methods", ", ".join(METHODS)),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Max-Age", "600"),
)


@dataclass(frozen=True, slots=True)
class ResourceLocation:
    """Where the metadata of a resource is: `url` for the challenge, and what a request for it has."""

    url: str
    host: str
    path: str


def metadata_location(identifier: str) -> ResourceLocation:
    """Put the well-known name between the host and the path (RFC 9728 §3.1). A path of one slash counts as empty."""
    parts = urlsplit(identifier)
    path = WELL_KNOWN + ("" if parts.path == "/" else parts.path)
    query = f"?{parts.query}" if parts.query else ""
    name = parts.hostname or ""
    host = canonical_host(f"[{name}]" if ":" in name else name) or name  # as that of a request
    return ResourceLocation(f"https://{parts.netloc}{path}{query}", host, path)


def metadata_document(
    identifier: str,
    authorization_servers: Iterable[str],
    scopes: Iterable[str],
    bearer_methods: Iterable[str],
    name: str | None,
) -> bytes:
    """The document (RFC 9728 §2) without empty members, but for the methods: an empty list says that there is none."""
    members = {
        "resource": identifier,
        "authorization_servers": list(dict.fromkeys(authorization_servers)),
        "scopes_supported": list(dict.fromkeys(scopes)),
        _METHODS_MEMBER: list(dict.fromkeys(bearer_methods)),
        "resource_name": name,
    }
    kept = {member: value for member, value in members.items() if value or member == _METHODS_MEMBER}
    return json.dumps(kept).encode()
