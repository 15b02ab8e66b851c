"""Phantom tokens: a JWT that says of a caller what introspection said, for backends that read JWTs.

Keycloak puts one into the member `jwt` of its response (`Accept: application/jwt`); a response by RFC 9701 is one
itself. Anyone who has it may act as the caller, so it leaves the claims, which are shown in places where a token must
not be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.authn.compact_jws import is_compact

MEMBER = "jwt"
# As long as a token that a caller may send: beyond, no backend would take it in a header.
_PHANTOM_MAX_CHARS = 32 * 2**10


def without_phantom(document: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The members of Keycloak's response without the phantom token, and that token where it is usable."""
    claims = dict(document)
    phantom = claims.pop(MEMBER, None)
    return claims, usable_phantom(phantom)


def usable_phantom(phantom: object) -> str | None:
    """The phantom token, if it is a signed JWT and not too large to be kept with each caller's facts."""
    is_usable = isinstance(phantom, str) and len(phantom) <= _PHANTOM_MAX_CHARS and is_compact(phantom)
    return phantom if is_usable else None  # type: ignore[return-value] # it is a text then
