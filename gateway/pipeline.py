"""How a request is decided: head -> target -> route -> bearer token -> facts -> policy -> identity headers.

Pure and synchronous: no socket, no cache, no clock. `decide` goes as far as it can. Where it needs a token's facts, it
stops with `NeedsFacts`. The caller then gets the result from a cache or the provider, and `resume` goes on. An unclear
result never becomes a yes: *denied*, *cannot tell* and *not found* leave here as different refusals.
"""

from __future__ import annotations

from gateway.authn.bearer import Malformed, NoToken, Token, bearer_token
from gateway.authn.facts import Facts, Inactive, Indeterminate, IntrospectionResult, TooMany
from gateway.authn.jwt_hint import unverified_issuer
from gateway.authn.question import Question
from gateway.compiled import CompiledConfig, CompiledRoute
from gateway.decision import (
    NO_CAPTURES,
    Allow,
    Decision,
    DecisionContext,
    NeedsFacts,
    Preflight,
    Receive,
    ReceivedKind,
    Refuse,
    Request,
)
from gateway.http.forwarded import Caller, read_caller
from gateway.http.framing import framing_problem
from gateway.http.headers import values_of
from gateway.http.method import is_look_alike
from gateway.http.refusal import Refusal, challenge, too_many, unavailable
from gateway.http.target import Target, path_problem, read_target
from gateway.identity import NOBODY, Identity, render
from gateway.policy import judge
from gateway.route_path import moved, takes, unrouted
from gateway.routing import Matched

_HTTP10 = (1, 0)
_VERSIONS = frozenset({_HTTP10, (1, 1)})
_RECEIVED: dict[str, ReceivedKind] = {
    "/backchannel-logout": "logout",
    "/security-events": "security_event",
    "/keycloak/k_push_not_before": "k_push_not_before",  # a client's admin URL ends with …/keycloak
    "/keycloak/k_logout": "k_logout",
}


def decide(gate: CompiledConfig, request: Request) -> Decision:
    """Decide on a request as far as possible without the facts of its token."""
    fields = request.fields
    caller = read_caller(request.peer, request.scheme, fields.of_proxies, gate.trusted_proxies)
    limit = gate.max_header_bytes
    if fields.size > limit or len(request.target) > limit or len(fields.lines) > gate.max_headers:
        return Refuse(DecisionContext(request, caller), _too_large(gate, request))
    if request.version not in _VERSIONS:
        return Refuse(DecisionContext(request, caller), Refusal("invalid_request", "this is served only by HTTP/1.1"))
    lengths = fields.lengths
    if (lengths or fields.encodings) and (problem := framing_problem(request.version, lengths, fields.encodings)):
        return Refuse(DecisionContext(request, caller), Refusal("invalid_request", problem))
    body_bytes = int(lengths[0]) if lengths else 0
    needs_host = request.version != _HTTP10
    target = read_target(request.method, request.target, fields.hosts, needs_host=needs_host)
    if isinstance(target, Refusal):
        return Refuse(DecisionContext(request, caller), target)
    if (own := _own(gate, request, caller, target, body_bytes)) is not None:
        return own
    if is_look_alike(request.method):
        refusal = Refusal("invalid_request", "methods are case-sensitive, and this one is not in capitals")
        return Refuse(DecisionContext(request, caller, target, body_bytes), refusal)
    found = gate.table.find(target.host, target.segments, request.method)
    if not isinstance(found, Matched) or not takes(target, found):
        return Refuse(DecisionContext(request, caller, target, body_bytes), unrouted(target, found))
    return _authenticate(gate, DecisionContext(request, caller, target, body_bytes, found), found.value)


def resume(gate: CompiledConfig, needs: NeedsFacts, answer: IntrospectionResult | TooMany, now: float) -> Decision:
    """Decide once there is a result for `needs.question`, or the news that there will be none."""
    if isinstance(answer, TooMany):
        detail = "too many unknown tokens came from this address; try again later"
        return Refuse(needs.case, too_many(detail, answer.retry_after_s))
    known, provider = needs.case, needs.question.provider
    if isinstance(answer, Facts):
        case = known.known_by(provider, answer)
        identity = admit(gate, needs.route, provider, answer, case.matched, now)
        return Refuse(case, identity) if isinstance(identity, Refusal) else _forward(case, needs.route, identity)
    unclear = needs.unclear or (answer if isinstance(answer, Indeterminate) else None)
    if needs.others:
        return NeedsFacts(known, needs.route, needs.question.to(needs.others[0]), needs.others[1:], unclear)
    case = known.known_by(provider)
    if unclear is not None:
        return Refuse(case, unavailable(unclear.reason, unclear.retry_after_s))
    reason = answer.reason if isinstance(answer, Inactive) else None
    return Refuse(case, challenge("invalid_token", "the token is not active", reason=reason))


def admit(
    gate: CompiledConfig,
    route: CompiledRoute,
    provider: str,
    facts: Facts,
    matched: Matched[CompiledRoute] | None,
    now: float,
) -> Identity | Refusal:
    """The identity of a caller with these facts, or the refusal where they are not enough for the route."""
    captures = NO_CAPTURES if matched is None or not route.policy.claims else matched.captures
    return judge(route.policy, facts, gate.trusted_issuers[provider], captures, now) or render(route.identity, facts)


def _too_large(gate: CompiledConfig, request: Request) -> Refusal:
    if len(request.target) > gate.max_header_bytes:
        return Refusal("uri_too_long", "the request target is too long")
    return Refusal("headers_too_large", "the header fields are too large or too many")


def _own(gate: CompiledConfig, request: Request, caller: Caller, target: Target, body_bytes: int) -> Decision | None:
    """The decision on a request that the gateway answers itself, whatever a route says."""
    if gate.events_prefix is not None and (target.bare_path + "/").startswith(gate.events_prefix + "/"):
        case = DecisionContext(request, caller, target, body_bytes)
        if target.has_parameters:
            return Refuse(case, unrouted(target, None))
        return _received(case, target.path.removeprefix(gate.events_prefix))
    if request.method == "OPTIONS" and (preflighted := _preflighted(gate, request, target)):
        return Preflight(DecisionContext(request, caller, target, body_bytes, preflighted), preflighted.value)
    return None


def _received(case: DecisionContext, rest: str) -> Decision:
    """Decide on a path under the events' prefix, which is the gateway's own on every host."""
    kind = _RECEIVED.get(rest)
    if kind is None:
        return Refuse(case, Refusal("no_route", "there is no such resource here"))
    if case.request.method != "POST":
        return Refuse(case, Refusal("method_not_allowed", "the resource takes only POST", (("Allow", "POST"),)))
    return Receive(case, kind)


def _preflighted(gate: CompiledConfig, request: Request, target: Target) -> Matched[CompiledRoute] | None:
    """The route with `cors` that a preflight asks about; `None` where the request is not one."""
    pairs = request.fields.pairs
    origins, methods = values_of(pairs, "origin"), values_of(pairs, "access-control-request-method")
    if len(origins) != 1 or len(methods) != 1:
        return None
    found = gate.table.find(target.host, target.segments, methods[0])
    return found if isinstance(found, Matched) and found.value.config.cors is not None else None


def _authenticate(gate: CompiledConfig, case: DecisionContext, route: CompiledRoute) -> Decision:
    if route.mode == "none":
        return _forward(case, route, NOBODY)
    token = bearer_token(case.request.fields.authorizations)
    if isinstance(token, Malformed):
        return Refuse(case, challenge("invalid_request", "the Authorization header is not one bearer token"))
    if isinstance(token, NoToken):
        if route.mode == "optional":
            return _forward(case, route, NOBODY)
        return Refuse(case, challenge("token_missing", "this resource needs a bearer token"))
    providers = route.providers if len(route.providers) == 1 else _providers_for(gate, route, token)
    if not providers:
        return Refuse(case, challenge("invalid_token", "the token is from another issuer"))
    tolerated_s = route.tolerances_s.get(case.request.method)
    question = Question(providers[0], token, route.max_age_s, tolerated_s, case.caller.address)
    return NeedsFacts(case, route, question, providers[1:])


def _providers_for(gate: CompiledConfig, route: CompiledRoute, token: Token) -> tuple[str, ...]:
    """The providers to ask. Among several, the unverified issuer of a JWT picks one; it never lets anything in."""
    issuer = unverified_issuer(token)
    if issuer is None:
        return route.providers
    return tuple(name for name in route.providers if gate.trusted_issuers[name].issuer == issuer)[:1]


def _forward(case: DecisionContext, route: CompiledRoute, identity: Identity) -> Decision:
    target, matched = case.target, case.matched
    assert target is not None and matched is not None  # noqa: PT018 - the route was found by them
    path = target.path
    if route.moves_path:
        path = moved(target, matched)
        if problem := path_problem(path):
            return Refuse(case, Refusal("invalid_target", "the path cannot be forwarded", reason=problem))
    if route.max_body_bytes is not None and case.body_bytes > route.max_body_bytes:
        return Refuse(case, Refusal("content_too_large", "the body is too large"))
    return Allow(case, route, target, path, identity)
