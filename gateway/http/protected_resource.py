"""Metadata of a protected resource (RFC 9728): where it is published, and what it says. Pure.

A client that knows nothing but the resource finds its authorization server from a 401 alone: the challenge names the
metadata, and the metadata names the server.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

WELL_KNOWN = "/.well-known/oauth-protected-resource"
METHODS = ("GET", "HEAD", "OPTIONS")
# The document is public, and so is the question for it, from any origin with any header (MCP-Protocol-Version).
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
    """RFC 9728 §3.1: the well-known name goes between the host and the path; a path of one slash is none."""
    parts = urlsplit(identifier)
    path = WELL_KNOWN + ("" if parts.path == "/" else parts.path)
    query = f"?{parts.query}" if parts.query else ""
    return ResourceLocation(f"https://{parts.netloc}{path}{query}", (parts.hostname or "").lower(), path)


def metadata_document(
    identifier: str, authorization_servers: Iterable[str], scopes: Iterable[str], name: str | None
) -> bytes:
    """The document (RFC 9728 §2), without the members that there is nothing to say of."""
    members = {
        "resource": identifier,
        "authorization_servers": list(dict.fromkeys(authorization_servers)),
        "scopes_supported": list(dict.fromkeys(scopes)),
        "bearer_methods_supported": ["header"],
        "resource_name": name,
    }
    return json.dumps({member: value for member, value in members.items() if value}).encode()
