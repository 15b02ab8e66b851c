"""`auth.token_from`: where in a request a token may stand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from gateway.config.values import quoted
from gateway.config.wire_values import parse_header_name
from gateway.http.header_names import HTTPOXY, TOLD_TO_BACKENDS, fold_header_name, folded
from gateway.http.syntax import TCHAR

_COOKIE_NAME = re.compile(rf"[{TCHAR}]{{1,256}}")
_PARAMETER_NAME = re.compile(r"[A-Za-z0-9._~-]{1,256}")
_KINDS = ("header", "cookie", "query")
_INSTEAD = "write authorization, {header: X-Access-Token}, {cookie: access_token} or {query: access_token}"
# These have a meaning of their own: a token is not it.
_NO_CARRIERS = HTTPOXY | TOLD_TO_BACKENDS | folded(["DPoP", "Origin", "Proxy-Authorization", "Set-Cookie"])


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """One place. `name` is that of the header, the cookie or the query parameter; empty for `Authorization`."""

    of: Literal["authorization", "header", "cookie", "query"]
    name: str = ""

    def __str__(self) -> str:
        return f"{self.of}:{self.name}" if self.name else self.of


IN_AUTHORIZATION = TokenPlace("authorization")
IN_STANDARD_QUERY = TokenPlace("query", "access_token")  # RFC 6750 §2.3


def parse_token_place(value: object) -> TokenPlace:
    """A `TokenPlace` from the word `authorization`, or from a mapping with one key."""
    if isinstance(value, TokenPlace):
        return value
    if value == "authorization":
        return IN_AUTHORIZATION
    if not isinstance(value, dict):
        raise ValueError(f"{quoted(value)} is not a place of a token; {_INSTEAD}")
    if len(value) != 1 or next(iter(value)) not in _KINDS:
        raise ValueError(f"a mapping here has one key, header, cookie or query; {_INSTEAD}")
    [(kind, name)] = value.items()
    if kind == "header":
        return TokenPlace("header", _carrier(name))
    if kind == "cookie":
        return TokenPlace("cookie", _matching(_COOKIE_NAME, name, "a name of a cookie; write one such as access_token"))
    return TokenPlace("query", _matching(_PARAMETER_NAME, name, "a plain name; write one such as access_token"))


def _carrier(value: object) -> str:
    name = parse_header_name(value)
    folded_name = fold_header_name(name)
    if folded_name == "authorization":
        raise ValueError("a token in Authorization has its scheme before it; write authorization, without header:")
    if folded_name == "cookie":
        raise ValueError("a token is one cookie of many; write {cookie: access_token}")
    if folded_name in _NO_CARRIERS:
        raise ValueError(f"{name} has a meaning of its own on the wire; write a name such as X-Access-Token")
    return name


def _matching(grammar: re.Pattern[str], value: object, what: str) -> str:
    if isinstance(value, str) and grammar.fullmatch(value):
        return value
    raise ValueError(f"{quoted(value)} is not {what}")
