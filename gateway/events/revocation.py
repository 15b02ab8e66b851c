"""Reads the token of a revocation that passes through to the provider (RFC 7009 §2.1).

The gateway has to know it before the provider does. So it reads the whole form, within a bound, and refuses a form that
the provider might read otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.authn.bearer import Token
from gateway.http.form import FORM, FormError, media_type, read_form
from gateway.http.refusal import Refusal

# The longest tokens stay below this, together with their client's assertion.
BODY_MAX_BYTES = 16 * 2**10


def media_refusal(content_type: Sequence[str], content_encoding: Sequence[str]) -> Refusal | None:
    """The refusal of a body that is not read; `None`: read it."""
    if media_type(content_type) != FORM or any(coding.strip().lower() != "identity" for coding in content_encoding):
        return Refusal("unsupported_media_type", f"a revocation is {FORM}, not compressed")
    return None


def revoked_token(body: bytes) -> Token | Refusal:
    """The token that the form revokes."""
    try:
        form = read_form(body)
    except FormError as error:
        return Refusal("invalid_request", str(error))
    if token := form.get("token"):
        return Token(token)
    return Refusal("invalid_request", "the form has no token")
