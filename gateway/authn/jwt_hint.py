"""What a token that looks like a JWT says of itself, unverified: good for choosing whom to ask, never for a yes.

RFC 7519 §3: three base64url parts, of which the middle one is a JSON object.
"""

from __future__ import annotations

import base64
import binascii

from gateway.authn.bearer import Token
from gateway.http.strict_json import JSONError, loads

_PARTS = 3


def unverified_issuer(token: Token) -> str | None:
    """The `iss` of a JWT's payload; `None` for an opaque token and for a JWT that names nobody."""
    parts = token.value.split(".")
    if len(parts) != _PARTS:
        return None
    try:
        payload = loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (JSONError, binascii.Error, ValueError):
        return None
    issuer = payload.get("iss") if isinstance(payload, dict) else None
    return issuer if isinstance(issuer, str) else None
