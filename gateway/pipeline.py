"""How a request is decided: head -> target -> route -> bearer token -> facts -> policy -> identity headers.

Pure and synchronous: no socket, no cache, no clock. `decide` goes as far as it can; where a token's facts are needed
it stops with `NeedsFacts`, the caller fetches the answer from wherever it is, and `resume` goes on. An unclear
answer never becomes a yes: *denied*, *cannot tell* and *not found* leave here as different refusals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from gateway.authn.authenticate import Question
from gateway.authn.bearer import Malformed, NoToken, Token, bearer_token
from gateway.authn.facts import Answer, Facts, Unclear
from gateway.authn.jwt_hint import unverified_issuer
from gateway.config.pattern import PathPattern
from gateway.gate import Gate, GatedRoute
from gateway.http.forwarded import Caller, read_caller
from gateway.http.framing import request_problem
from gateway.http.headers import Pairs, request_to_backend, values_of
from gateway.http.refusal import Refusal, challenge, unavailable
from gateway.http.target import Target, path_problem, read_target
from gateway.identity import identity_headers
from gateway.policy import judge
from gateway.routing import Matched, WrongMethod, rewritten

_VERSIONS = frozenset({(1, 0), (1, 1)})
_RECEIVED: dict[str, Literal["logout", "security_event"]] = {
    "/backchannel-logout": "logout",
    "/security-events": "security_event",
}


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request as it came. `headers` are name and value in order, undecided and untrusted."""

    method: str
    target: str = field(repr=False)  # the query may hold secrets
    headers: Pairs = field(repr=False)
    peer: str  # the address of the connection's other end; empty for a Unix socket
    scheme: str  # http or https, of the connection
    version: tuple[int, int]
    new_request_id: str  # used unless a trusted proxy has given one


@dataclass(frozen=True, slots=True)
class Case:
    """What is known about a request so far; every decision carries it, for the record."""

    request: Request
    caller: Caller
    target: Target | None = None
    route: GatedRoute | None = None
    captures: Mapping[str, str] = field(default_factory=dict)
    rest: tuple[str, ...] | None = None
    provider: str | None = None
    facts: Facts | None = None

    @property
    def request_id(self) -> str:
        return self.caller.request_id or self.request.new_request_id


@dataclass(frozen=True, slots=True)
class Refuse:
    case: Case
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Allow:
    """The request may go on, as `method`, to `path_and_query` with these `headers` (`Host` and framing excepted)."""

    case: Case
    route: GatedRoute
    path_and_query: str
    headers: list[tuple[str, str]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Preflight:
    """A CORS preflight for a route with `cors`: answered by the gateway, without a token (Fetch §4.8)."""

    case: Case
    route: GatedRoute


@dataclass(frozen=True, slots=True)
class NeedsFacts:
    """Ask `question`, then `resume` with the answer. `others` are the providers to ask after this one."""

    case: Case
    route: GatedRoute
    question: Question
    others: tuple[str, ...] = ()
    unclear: Unclear | None = None  # what a provider before this one answered


@dataclass(frozen=True, slots=True)
class Receive:
    """An event at one of the gateway's own paths: a POST, which `gateway.events` answers."""

    case: Case
    kind: Literal["logout", "security_event"]


Decision = Allow | Refuse | Preflight | NeedsFacts | Receive


def decide(gate: Gate, request: Request) -> Decision:
    """The decision on a request, as far as it goes without the facts of its token."""
    case = Case(request, read_caller(request.peer, request.scheme, request.headers, gate.trusted_proxies))
    if refusal := _too_large(gate, request):
        return Refuse(case, refusal)
    if request.version not in _VERSIONS:
        return Refuse(case, Refusal("invalid_request", "this is served by HTTP/1.1 alone"))
    if problem := request_problem(request.version, request.headers):
        return Refuse(case, Refusal("invalid_request", problem))
    target = read_target(request.method, request.target, values_of(request.headers, "host"))
    if isinstance(target, Refusal):
        return Refuse(case, target)
    case = replace(case, target=target)
    if received := _received(gate, case, target):
        return received
    if preflight := _preflight(gate, case, target):
        return preflight
    return _route(gate, case, target)


def resume(gate: Gate, needs: NeedsFacts, answer: Answer, now: float) -> Decision:
    """The decision once the provider's answer to `needs.question` is there."""
    case = replace(needs.case, provider=needs.question.provider)
    if isinstance(answer, Facts):
        return _authorise(gate, replace(case, facts=answer), needs.route, now)
    unclear = needs.unclear or (answer if isinstance(answer, Unclear) else None)
    if needs.others:
        question = replace(needs.question, provider=needs.others[0])
        return replace(needs, question=question, others=needs.others[1:], unclear=unclear)
    if unclear is not None:
        return Refuse(case, unavailable(unclear.reason, unclear.retry_after_s))
    return Refuse(case, challenge("invalid_token", "the token is not active"))


def _too_large(gate: Gate, request: Request) -> Refusal | None:
    if len(request.target) > gate.max_header_bytes:
        return Refusal("uri_too_long", "the request target is too long")
    size = sum(len(name) + len(value) + 4 for name, value in request.headers)
    if size > gate.max_header_bytes or len(request.headers) > gate.max_headers:
        return Refusal("headers_too_large", "the header fields are too large or too many")
    return None


def _received(gate: Gate, case: Case, target: Target) -> Receive | Refuse | None:
    """What lies under the events' prefix is the gateway's own, on every host and whatever a route says."""
    prefix = gate.events_prefix
    if prefix is None or not (target.path + "/").startswith(prefix + "/"):
        return None
    kind = _RECEIVED.get(target.path.removeprefix(prefix))
    if kind is None:
        return Refuse(case, Refusal("no_route", "there is no such resource here"))
    if case.request.method != "POST":
        return Refuse(case, Refusal("method_not_allowed", "the resource takes POST alone", (("Allow", "POST"),)))
    return Receive(case, kind)


def _preflight(gate: Gate, case: Case, target: Target) -> Preflight | None:
    if case.request.method != "OPTIONS":
        return None
    origins = values_of(case.request.headers, "origin")
    methods = values_of(case.request.headers, "access-control-request-method")
    if len(origins) != 1 or len(methods) != 1:
        return None
    found = gate.table.find(target.host, target.segments, methods[0])
    if not isinstance(found, Matched) or found.value.config.cors is None:
        return None
    return Preflight(replace(case, route=found.value), found.value)


def _route(gate: Gate, case: Case, target: Target) -> Decision:
    found = gate.table.find(target.host, target.segments, case.request.method)
    allows_slash = isinstance(found, Matched) and found.value.config.allow_encoded_slash
    if target.has_encoded_slash and not allows_slash:
        return Refuse(case, Refusal("invalid_target", "the path has an encoded slash"))
    if found is None:
        return Refuse(case, Refusal("no_route", "there is no such resource here"))
    if isinstance(found, WrongMethod):
        allow = (("Allow", ", ".join(found.allowed)),)
        return Refuse(case, Refusal("method_not_allowed", "the resource does not take this method", allow))
    case = replace(case, route=found.value, captures=found.captures, rest=found.rest)
    return _authenticate(gate, case, found.value)


def _authenticate(gate: Gate, case: Case, route: GatedRoute) -> Decision:
    auth = route.config.auth
    if auth.mode == "none":
        return _forward(case, route)
    token = bearer_token(values_of(case.request.headers, "authorization"))
    if isinstance(token, Malformed):
        return Refuse(case, challenge("invalid_request", "the Authorization header is not one bearer token"))
    if isinstance(token, NoToken):
        if auth.mode == "optional":
            return _forward(case, route)
        return Refuse(case, challenge("token_missing", "this resource needs a bearer token"))
    providers = _providers_for(gate, route, token)
    if not providers:
        return Refuse(case, challenge("invalid_token", "the token is from another issuer"))
    return NeedsFacts(case, route, Question(providers[0], token, auth.max_age), providers[1:])


def _providers_for(gate: Gate, route: GatedRoute, token: Token) -> tuple[str, ...]:
    """Who is asked. Among several, the issuer that a JWT names, unverified, picks; nothing is accepted by it."""
    if len(route.providers) == 1:
        return route.providers
    issuer = unverified_issuer(token)
    if issuer is None:
        return route.providers
    return tuple(name for name in route.providers if gate.speakers[name].issuer == issuer)[:1]


def _authorise(gate: Gate, case: Case, route: GatedRoute, now: float) -> Decision:
    assert case.facts is not None and case.provider is not None  # noqa: PT018 - resume has just set both
    refusal = judge(route.policy, case.facts, gate.speakers[case.provider], case.captures, now)
    return Refuse(case, refusal) if refusal else _forward(case, route)


def _forward(case: Case, route: GatedRoute) -> Decision:
    claims = case.facts.claims if case.facts else {}
    identity = identity_headers(route.config.identity.headers, claims)
    if isinstance(identity, Refusal):
        return Refuse(case, identity)
    assert case.target is not None  # a route was found by it
    path = _onward_path(case, route, case.target)
    if problem := path_problem(path):
        return Refuse(case, Refusal("invalid_target", "the path can not be forwarded", reason=problem))
    if (limit := route.max_body_bytes) is not None and _declared_length(case.request) > limit:
        return Refuse(case, Refusal("content_too_large", "the body is too large"))
    headers = request_to_backend(
        case.request.headers,
        route.request_rules,
        case.caller,
        authority=case.target.authority,
        request_id=case.request_id,
        version=case.request.version,
        identity=identity,
    )
    query = case.target.query
    return Allow(case, route, path if query is None else f"{path}?{query}", headers)


def _onward_path(case: Case, route: GatedRoute, target: Target) -> str:
    config = route.config
    if config.rewrite is not None:
        return rewritten(config.rewrite, case.captures, case.rest)
    if config.strip_prefix is not None:
        return "/" + "/".join(target.segments[_depth(config.strip_prefix) :])
    return target.path


def _depth(prefix: PathPattern) -> int:
    """How many segments to strip; a trailing slash in the prefix strips no more than the prefix without it."""
    return len(prefix.segments) - (prefix.segments[-1].text == "" and not prefix.has_rest)


def _declared_length(request: Request) -> int:
    lengths = values_of(request.headers, "content-length")
    return max((int(length) for length in lengths if length.isascii() and length.isdigit()), default=0)
