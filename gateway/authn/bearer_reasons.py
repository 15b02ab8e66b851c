"""Say why `Authorization` holds no bearer token: for the log, never for the client. Pure; made only when refusing.

Nothing of the field is shown but a scheme that is registered with IANA: whatever else stands there may be a token.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.authn.bearer import TOKEN_MAX_CHARS
from gateway.http.syntax import B64TOKEN_CHARS, chars_of

# RFC 9110 §16.4.1's registry, and what Windows and AWS send.
_SCHEMES = {
    name.lower(): name
    for name in (
        "Basic",
        "Concealed",
        "Digest",
        "DPoP",
        "GNAP",
        "HOBA",
        "Mutual",
        "Negotiate",
        "NTLM",
        "OAuth",
        "PrivateToken",
        "SCRAM-SHA-1",
        "SCRAM-SHA-256",
        "vapid",
        "AWS4-HMAC-SHA256",
    )
}
_TOKEN_BYTES = chars_of(B64TOKEN_CHARS)


def why_no_token(values: Sequence[str]) -> str:
    """For values in which `bearer_token` found none: another scheme, or no field at all."""
    if not values:
        return "there is no Authorization field, Bearer wanted"
    scheme, blank, _ = values[0].strip(" \t").partition(" ")
    if not blank:
        return "the Authorization field has one word and no scheme before it, Bearer wanted"
    known = _SCHEMES.get(scheme.lower())
    return f"the scheme is {known}, Bearer wanted" if known else "the scheme is not Bearer, Bearer wanted"


def why_malformed(values: Sequence[str]) -> str:
    """For values that `bearer_token` called malformed."""
    if len(values) > 1:
        return f"there are {len(values)} Authorization fields, one wanted"
    _, _, rest = values[0].strip(" \t").partition(" ")
    token = rest.strip(" ")
    if not token:
        return "there is no token behind the scheme"
    if len(token) > TOKEN_MAX_CHARS:
        return f"the token has {len(token)} characters, {TOKEN_MAX_CHARS} are allowed"
    if " " in token or "," in token:
        return "there is more than one word behind the scheme"
    return _where_illegal(token)


def _where_illegal(token: str) -> str:
    for place, character in enumerate(token.rstrip("="), start=1):
        if ord(character) > 0x7F or ord(character) not in _TOKEN_BYTES:  # noqa: PLR2004 - beyond ASCII
            return f"character {place} of the token, U+{ord(character):04X}, is one that no bearer token has"
    return "the token is not a b64token (RFC 6750 §2.1)"
