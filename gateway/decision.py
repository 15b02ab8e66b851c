"""The decisions about a request, and what is known about it by then: the values that `gateway.pipeline` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Final, Literal

from gateway.authn.facts import Facts, Indeterminate
from gateway.authn.question import Question
from gateway.compiled import CompiledRoute
from gateway.http.forwarded import Caller
from gateway.http.headers import Lines, Pairs, lines_to_backend, request_to_backend
from gateway.http.immutable import immutable
from gateway.http.location import Outside
from gateway.http.refusal import Refusal
from gateway.http.target import Target
from gateway.identity import Identity
from gateway.route_path import stripped
from gateway.routing import Matched

NO_CAPTURES: Final[Mapping[str, str]] = MappingProxyType({})


@immutable
class Request:
    """Holds the head of a request as it came. `headers` are its fields in order, unchecked and untrusted."""

    method: str
    target: str = field(repr=False)  # the query may hold secrets
    headers: Pairs = field(repr=False)
    peer: str  # the address of the connection's other end; empty for a Unix socket
    scheme: str  # http or https, of the connection
    version: tuple[int, int]
    new_request_id: str  # used unless a trusted proxy sent one


@immutable
class DecisionContext:
    """Holds what is known about a request so far. Every decision carries it, for the access record."""

    request: Request
    caller: Caller
    target: Target | None = None
    body_bytes: int = 0  # as declared by Content-Length
    matched: Matched[CompiledRoute] | None = None
    provider: str | None = None
    facts: Facts | None = None

    @property
    def route(self) -> CompiledRoute | None:
        return None if self.matched is None else self.matched.value

    @property
    def captures(self) -> Mapping[str, str]:
        return NO_CAPTURES if self.matched is None else self.matched.captures

    @property
    def request_id(self) -> str:
        return self.caller.request_id or self.request.new_request_id


@immutable
class Refuse:
    """Refuses the request, with the response to send."""

    case: DecisionContext
    refusal: Refusal


@immutable
class Allow:
    """Lets the request go on to `path_and_query`, with the identity headers of `identity`."""

    case: DecisionContext
    route: CompiledRoute
    target: Target
    path: str
    identity: Identity

    @property
    def path_and_query(self) -> str:
        query = self.target.query
        return self.path if query is None else f"{self.path}?{query}"

    @property
    def stripped(self) -> str:
        """The part that the route takes off the path; the backend gets it as `X-Forwarded-Prefix`."""
        return stripped(self.target, self.route) if self.route.moves_path else ""

    @property
    def outside(self) -> Outside:
        """The URL under which the client sees what the backend serves."""
        caller, authority = self.case.caller, self.target.authority
        host = authority if self.route.config.preserve_host else ""
        return Outside(caller.proto, caller.authority or authority, caller.prefix + self.stripped, host)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All fields for the backend except `Host` and the framing; made anew each time."""
        request = self.case.request
        return request_to_backend(
            request.headers,
            self.route.request_rules,
            self.case.caller,
            authority=self.target.authority,
            request_id=self.case.request_id,
            version=request.version,
            stripped=self.stripped,
            identity=self.identity.pairs,
        )

    @property
    def lines(self) -> Lines | None:
        """The same fields as bytes, in parts; `None` where there is no such form."""
        request = self.case.request
        return lines_to_backend(
            request.headers,
            self.route.request_rules,
            self.case.caller,
            authority=self.target.authority,
            version=request.version,
            stripped=self.stripped,
        )


@immutable
class Preflight:
    """A CORS preflight for a route with `cors`, which the gateway answers itself, without a token (Fetch §4.8)."""

    case: DecisionContext
    route: CompiledRoute


@immutable
class NeedsFacts:
    """Asks for the result of `question`; then call `resume`. `others` are the providers to ask after this one."""

    case: DecisionContext
    route: CompiledRoute
    question: Question
    others: tuple[str, ...] = ()
    unclear: Indeterminate | None = None  # the result of a provider before this one


@immutable
class Receive:
    """An event at one of the gateway's own paths: a POST that `gateway.events` receives."""

    case: DecisionContext
    kind: Literal["logout", "security_event", "k_push_not_before", "k_logout"]


Decision = Allow | Refuse | Preflight | NeedsFacts | Receive
