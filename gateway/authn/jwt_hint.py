"""What a token that looks like a JWT says of itself, unverified: for choosing whom to ask, or that nobody need be.

Nothing is ever accepted by it. RFC 7519 §3: three base64url parts, of which the middle one is a JSON object; what is
not exactly that is an opaque token, and the provider's to judge.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from gateway.authn.bearer import Token
from gateway.http.strict_json import JSONError, loads

_PARTS = 3
# Clocks differ. A token that may be good by the provider's is asked about, and its word counts without any leeway.
_CLOCKS_APART_S = 60


def unverified_issuer(token: Token) -> str | None:
    """The `iss` of a JWT's payload; `None` for an opaque token and for a JWT that names nobody."""
    return _issuer(_payload(token))


def hopeless(token: Token, issuer: str | None, now: float) -> str | None:
    """Why no answer could make `token` good at `now` (wall clock), in words; `None` where it must be asked about.

    `issuer` is the one whose tokens count, `None` where any does.
    """
    payload = _payload(token)
    exp = payload.get("exp")
    if isinstance(exp, int | float) and not isinstance(exp, bool) and exp + _CLOCKS_APART_S <= now:
        return "it has expired by its own exp"
    named = _issuer(payload)
    if issuer is not None and named is not None and named != issuer:
        return "it is from another issuer by its own iss"
    return None


def _issuer(payload: dict[str, Any]) -> str | None:
    issuer = payload.get("iss")
    return issuer if isinstance(issuer, str) else None


def _payload(token: Token) -> dict[str, Any]:
    """Empty for an opaque token."""
    parts = token.value.split(".")
    if len(parts) != _PARTS:
        return {}
    try:
        payload = loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (JSONError, binascii.Error, ValueError):
        return {}
    return payload if isinstance(payload, dict) else {}
