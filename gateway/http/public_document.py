"""A document that the gateway publishes itself, before the routes: what it says, and how it may be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.http.protected_resource import CORS, METHODS, PREFLIGHT

_JSON = (("Content-Type", "application/json"),)
# How long a backend may keep the keys. One that meets an unknown `kid` asks again at once.
_KEYS_KEPT = (("Cache-Control", "public, max-age=300"),)


@dataclass(frozen=True, slots=True)
class PublicDocument:
    """Holds the response to GET, whose body ends with a line end, as curl's users want it.

    With `preflight` it also answers OPTIONS, for browsers of any origin.
    """

    what: Literal["the metadata of a protected resource", "the keys of identity tokens"]
    body: bytes
    fields: tuple[tuple[str, str], ...]
    methods: tuple[str, ...]
    preflight: tuple[tuple[str, str], ...] = ()


def resource_metadata(body: bytes) -> PublicDocument:
    """The metadata of a protected resource (RFC 9728)."""
    return PublicDocument("the metadata of a protected resource", body + b"\n", (*_JSON, *CORS), METHODS, PREFLIGHT)


def identity_keys(key_set: bytes) -> PublicDocument:
    """The keys that verify identity tokens (RFC 7517). Servers ask for them, not browsers."""
    return PublicDocument("the keys of identity tokens", key_set + b"\n", (*_JSON, *_KEYS_KEPT), ("GET", "HEAD"))
