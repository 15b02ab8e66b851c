"""Reads the token of a request from its `Authorization` header: RFC 6750 §2.1, and RFC 9449 §7.1 for the scheme DPoP.

A token in the query or the body does not count: those end up in logs and histories (RFC 9700 §4.3.2). Where a route
names other places, `gateway.authn.token_places` looks at them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.http.bounded_memo import BoundedMemo
from gateway.http.syntax import B64TOKEN, B64TOKEN_CHARS, TOKEN, chars_of

_SCHEME: Final = re.compile(rf"({TOKEN})(?: +(.*))?")
_B64TOKEN: Final = re.compile(B64TOKEN)
# The same characters without the padding. `translate` deletes them, several times as fast as the expression.
_B64CHARS: Final = chars_of(B64TOKEN_CHARS)
_USUAL_START: Final = "Bearer "
# Longer than any real token: Keycloak's with hundreds of roles stay below 16 KiB.
TOKEN_MAX_CHARS: Final = 32 * 2**10
# Recent good tokens: some 5 MiB where each is of the usual length. A longer one is read anew each time.
_REMEMBERED_MAX: Final = 2048
_REMEMBERED_CHARS: Final = 2048


class Token:
    """Holds a secret: `value` goes to the provider and into the cache key, and is shown nowhere.

    `key` is the cache key that `key_maker` made of it last, for the provider with the identity `key_identity`.
    `named_issuer` is the `iss` that a JWT names, unverified, once `is_read`.
    """

    __slots__ = ("is_read", "is_remembered", "key", "key_identity", "key_maker", "named_issuer", "value")

    def __init__(self, value: str) -> None:
        self.value = value
        self.key = self.key_identity = b""
        self.key_maker: object = None
        self.is_remembered = False
        self.named_issuer: str | None = None
        self.is_read = False

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


NO_TOKEN: Final = NoToken()
MALFORMED: Final = Malformed()
# By the value of the field. A text is found by its hash, which is keyed at random, and then compared: how long that
# takes tells nothing of other texts, and nobody can choose texts that collide.
_REMEMBERED: Final = BoundedMemo[str, Token](_REMEMBERED_MAX)
_remembered: Final = _REMEMBERED.known


def remember(token: Token) -> None:
    """Find the token, with its cache key, by its field next time. Only for one that is active: junk must not fill this.

    It says nothing of what the token is good for, and a purge changes nothing in it: the facts are looked up each time.
    """
    if not token.is_remembered and len(token.value) <= _REMEMBERED_CHARS:
        token.is_remembered = True
        _REMEMBERED.keep(_USUAL_START + token.value, token)


def bearer_token(values: Sequence[str]) -> Token | NoToken | Malformed:
    """The token in the values of all `Authorization` fields, in the order in which they came."""
    if not values:
        return NO_TOKEN
    if len(values) > 1:
        return MALFORMED
    value = values[0]
    known = _remembered.get(value)
    if known is not None:
        return known
    if value.startswith(_USUAL_START) and value.isascii():
        usual = value[len(_USUAL_START) :]
        if usual and len(usual) <= TOKEN_MAX_CHARS and not usual.encode().translate(None, _B64CHARS):
            return Token(usual)
    return _of_scheme(value, "bearer")


def dpop_token(values: Sequence[str]) -> Token | NoToken | Malformed:
    """The token that came in the scheme DPoP, for values in which `bearer_token` found none."""
    return _of_scheme(values[0], "dpop") if len(values) == 1 else NO_TOKEN


def _of_scheme(value: str, wanted: str) -> Token | NoToken | Malformed:
    match = _SCHEME.fullmatch(value.strip(" \t"))
    if match is None:
        return MALFORMED
    scheme, credentials = match[1], match[2]
    if scheme.lower() != wanted:
        return NO_TOKEN
    if not credentials or len(credentials) > TOKEN_MAX_CHARS or not _B64TOKEN.fullmatch(credentials):
        return MALFORMED
    return Token(credentials)
