"""Reads the bearer token of a request (RFC 6750 §2.1), only from the `Authorization` header.

A token in the query or the body does not count: those end up in logs and histories (RFC 9700 §4.3.2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.http.syntax import B64TOKEN, B64TOKEN_CHARS, TOKEN, chars_of

_SCHEME = re.compile(rf"({TOKEN})(?: +(.*))?")
_B64TOKEN = re.compile(B64TOKEN)
# The same characters without the padding. `translate` deletes them, several times as fast as the expression.
_B64CHARS = chars_of(B64TOKEN_CHARS)
_USUAL_START = "Bearer "
# Longer than any real token: Keycloak's with hundreds of roles stay below 16 KiB.
TOKEN_MAX_CHARS = 32 * 2**10


class Token:
    """Holds a secret: `value` goes to the provider and into the cache key, and is shown nowhere."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Token()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)


class NoToken:
    """Says that the request has no bearer token. Another scheme is not one."""


class Malformed:
    """Says that this is not one bearer token: two fields, a list, illegal characters, empty, too long."""


NO_TOKEN = NoToken()
MALFORMED = Malformed()


def bearer_token(values: Sequence[str]) -> Token | NoToken | Malformed:
    """The token in the values of all `Authorization` fields, in the order in which they came."""
    if not values:
        return NO_TOKEN
    if len(values) > 1:
        return MALFORMED
    value = values[0]
    if value.startswith(_USUAL_START) and value.isascii():
        usual = value[len(_USUAL_START) :]
        if usual and len(usual) <= TOKEN_MAX_CHARS and not usual.encode().translate(None, _B64CHARS):
            return Token(usual)
    match = _SCHEME.fullmatch(value.strip(" \t"))
    if match is None:
        return MALFORMED
    scheme, credentials = match[1], match[2]
    if scheme.lower() != "bearer":
        return NO_TOKEN
    if not credentials or len(credentials) > TOKEN_MAX_CHARS or not _B64TOKEN.fullmatch(credentials):
        return MALFORMED
    return Token(credentials)
