"""Finds the token of a request in the places that a route names (`auth.token_from`). Pure.

All places that are named are looked at. Equal tokens are one; two that differ are malformed, because whoever put in the
second one may not be the one who put in the first. A place that is not named is not looked at. An empty value is not a
token. A token in a query ends up in logs and histories (RFC 9700 §4.3.2), so a route has to ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.authn.bearer import MALFORMED, NO_TOKEN, TOKEN_MAX_CHARS, Malformed, NoToken, Token
from gateway.config.token_place import IN_AUTHORIZATION, TokenPlace
from gateway.http.cookie_pairs import cookie_values
from gateway.http.query_pairs import query_values, without_parameters
from gateway.http.request_fields import Fields
from gateway.http.syntax import B64TOKEN

_B64TOKEN = re.compile(B64TOKEN.encode())


@dataclass(frozen=True, slots=True)
class TokenPlaces:
    """Holds the places that one route looks at. The names of headers are in lower case."""

    has_authorization: bool
    headers: tuple[bytes, ...]
    cookies: frozenset[bytes]
    parameters: tuple[str, ...]
    in_words: str

    @property
    def header_names(self) -> tuple[str, ...]:
        return tuple(name.decode() for name in self.headers)

    def without_tokens(self, query: str | None) -> str | None:
        """The query that the backend gets; `None` where nothing is left of it."""
        return query if query is None or not self.parameters else without_parameters(query, self.parameters)


@dataclass(frozen=True, slots=True)
class FoundToken:
    """Holds what is in all of the places together. `in_query` says that a parameter had the token, or a malformed one.

    `reason` is for the operator; it quotes nothing of a token.
    """

    token: Token | NoToken | Malformed
    in_authorization: bool = False
    in_query: bool = False
    reason: str = ""


def compile_places(places: Sequence[TokenPlace]) -> TokenPlaces | None:
    """The places of a route; `None` for `Authorization` only, which costs nothing to look at."""
    if tuple(places) == (IN_AUTHORIZATION,):
        return None
    return TokenPlaces(
        has_authorization=IN_AUTHORIZATION in places,
        headers=tuple(place.name.lower().encode() for place in places if place.of == "header"),
        cookies=frozenset(place.name.encode() for place in places if place.of == "cookie"),
        parameters=tuple(place.name for place in places if place.of == "query"),
        in_words=", ".join(map(str, places)),
    )


def find_token(places: TokenPlaces, fields: Fields, query: str | None, authorization: Token | None) -> FoundToken:
    """The token that stands in the places. `authorization` is the one that `Authorization` has, in any scheme."""
    in_query = [value for name in places.parameters for value in query_values(query or "", name) if value]
    values = [*_in_headers(places.headers, fields.lines), *_in_cookies(places.cookies, fields.lines), *in_query]
    tokens = {} if authorization is None else {authorization: None}
    for value in filter(None, values):
        if len(value) > TOKEN_MAX_CHARS or not _B64TOKEN.fullmatch(value):
            return FoundToken(MALFORMED, in_query=bool(in_query), reason="a place has what no bearer token is")
        tokens[Token(value.decode())] = None
    if len(tokens) > 1:
        return FoundToken(MALFORMED, in_query=bool(in_query), reason=f"{len(tokens)} different tokens came at once")
    if not tokens:
        return FoundToken(NO_TOKEN, reason=f"there is no token in {places.in_words}")
    return FoundToken(next(iter(tokens)), authorization is not None, bool(in_query))


def _in_headers(names: tuple[bytes, ...], lines: Iterable[bytes]) -> list[bytes]:
    if not names:
        return []
    found = (line.partition(b":") for line in lines)
    return [value.strip(b" \t") for name, _, value in found if name.lower() in names]


def _in_cookies(names: frozenset[bytes], lines: Sequence[bytes]) -> list[bytes]:
    return [value for name in sorted(names) for value in cookie_values(lines, name)]
