"""A token revocation that passes through to the provider (RFC 7009 §2.1): which token it is about.

The gateway has to know that before anybody is asked, so the form is read whole, within a bound, and held to one
meaning: what the provider would read otherwise is not sent on.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.authn.bearer import Token
from gateway.http.form import FORM, FormError, media_type, read_form
from gateway.http.refusal import Refusal

# The longest tokens there are stay below, their client's assertion with them.
BODY_MAX_BYTES = 16 * 2**10


def media_refusal(content_type: Sequence[str], content_encoding: Sequence[str]) -> Refusal | None:
    """Why the body is not even read."""
    if media_type(content_type) != FORM or any(coding.strip().lower() != "identity" for coding in content_encoding):
        return Refusal("unsupported_media_type", f"a revocation is {FORM}, not compressed")
    return None


def revoked_token(body: bytes) -> Token | Refusal:
    """The token that is to be revoked."""
    try:
        form = read_form(body)
    except FormError as error:
        return Refusal("invalid_request", str(error))
    if token := form.get("token"):
        return Token(token)
    return Refusal("invalid_request", "the form has no token")
