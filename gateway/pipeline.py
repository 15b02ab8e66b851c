"""How a request is decided: head -> target -> route -> token -> facts -> policy -> identity headers -> conditions.

Pure and synchronous: no socket, no cache, no clock. `decide` goes as far as it can. Where it needs a token's facts, it
stops with `NeedsFacts`. The caller then gets the result from a cache or the provider, and `resume` goes on. Where the
facts admit the request and something else has to hold, it stops with `NeedsOutcome`, and `conclude` goes on. An unclear
result never becomes a yes: *denied*, *cannot tell* and *not found* leave here as different refusals.
"""

from __future__ import annotations

from typing import Final

from gateway.authn.bearer import NO_TOKEN, NoToken, Token, bearer_token
from gateway.authn.client_certificate import thumbprint_in
from gateway.authn.facts import Facts, Inactive, Indeterminate, IntrospectionResult, TooMany
from gateway.authn.jwt_hint import unverified_issuer
from gateway.authn.presented import AS_BEARER
from gateway.authn.question import Question
from gateway.compiled import CompiledConfig, CompiledRoute
from gateway.condition import Met
from gateway.conditions.conditions import conditions_of
from gateway.cors import preflight_answer
from gateway.decision import (
    NO_CAPTURES,
    Allow,
    Decision,
    DecisionContext,
    NeedsFacts,
    NeedsOutcome,
    Preflight,
    Publish,
    Receive,
    ReceivedKind,
    Refuse,
)
from gateway.http.forwarded import Caller, read_caller
from gateway.http.framing import framing_problem
from gateway.http.headers import values_of
from gateway.http.method import REGISTERED, is_look_alike
from gateway.http.refusal import Refusal, challenge, too_many, unavailable
from gateway.http.target import Target, path_problem, read_target
from gateway.identity import NOBODY, Identity, render
from gateway.policy import judge
from gateway.possession import proof_problem
from gateway.presentation import RequestCredentials, find_credentials
from gateway.request import Request
from gateway.route_path import moved, takes, unrouted, wrong_method
from gateway.routing import Matched

_HTTP10: Final = (1, 0)
_VERSIONS: Final = frozenset({_HTTP10, (1, 1)})
_RECEIVED: dict[str, ReceivedKind] = {
    "/backchannel-logout": "logout",
    "/security-events": "security_event",
    "/keycloak/k_push_not_before": "k_push_not_before",  # a client's admin URL ends with …/keycloak
    "/keycloak/k_logout": "k_logout",
}
# A provider whose logout URL is wrong ends no session, and nobody would hear of it.
_NO_EVENTS = f"no event arrives at this path; under events.prefix there are {', '.join(_RECEIVED)}"


def decide(compiled: CompiledConfig, request: Request) -> Decision:
    """Decide on a request as far as possible without the facts of its token."""
    fields = request.fields
    caller = read_caller(request.peer, request.scheme, fields.of_proxies, compiled.trusted_proxies)
    limit = compiled.head_limits.bytes_max
    if fields.size > limit or len(request.target) > limit or len(fields.lines) > compiled.head_limits.fields_max:
        return Refuse(DecisionContext(request, caller), _too_large(compiled, request))
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
    if (compiled.has_own_paths or request.method == "OPTIONS") and (
        own := _own(compiled, request, caller, target, body_bytes)
    ) is not None:
        return own
    if request.method not in REGISTERED and is_look_alike(request.method):
        refusal = Refusal("invalid_request", "methods are case-sensitive, and this one is not in capitals")
        return Refuse(DecisionContext(request, caller, target, body_bytes), refusal)
    found = compiled.table.find(target.host, target.segments, request.method)
    if not isinstance(found, Matched) or (
        (target.has_encoded_slash or target.has_parameters) and not takes(target, found)
    ):
        return Refuse(DecisionContext(request, caller, target, body_bytes), unrouted(target, found))
    return _authenticate(DecisionContext(request, caller, target, body_bytes, found), found.value)


def resume(compiled: CompiledConfig, needs: NeedsFacts, result: IntrospectionResult | TooMany, now: float) -> Decision:
    """Decide once there is a result for `needs.question`, or the news that there will be none."""
    if isinstance(result, TooMany):
        detail = "too many unknown tokens came from this address; try again later"
        return Refuse(needs.context, too_many(detail, result.retry_after_s))
    known, provider = needs.context, needs.question.provider
    if known.presented is not AS_BEARER and (refusal := unproven(compiled, known, now)) is not None:
        return Refuse(known, refusal)
    if isinstance(result, Facts):
        context = known.known_by(provider, result)
        if context.presented is not AS_BEARER or not result.memo.is_unbound:
            context.presented = context.presented.with_certificate(_certificate(compiled, context))
        identity = admit(compiled, needs.route, provider, result, context, now)
        if isinstance(identity, Refusal):
            return Refuse(context, identity)
        return _admitted(context, needs.route, identity, needs.question)
    unclear = needs.unclear or (result if isinstance(result, Indeterminate) else None)
    if needs.others:
        return NeedsFacts(known, needs.route, needs.question.to(needs.others[0]), needs.others[1:], unclear)
    context = known.known_by(provider)
    if unclear is not None:
        return Refuse(context, unavailable(unclear.reason, unclear.retry_after_s))
    reason = result.reason if isinstance(result, Inactive) else None
    return Refuse(context, challenge("invalid_token", "the token is not active", reason=reason))


def conclude(needs: NeedsOutcome, outcome: Refusal | Met) -> Decision:
    """Decide once it is known whether the first condition of `needs` holds."""
    if isinstance(outcome, Refusal):
        return Refuse(needs.context, outcome)
    allowed, left = needs.allowed.and_met(outcome), needs.conditions[1:]
    return NeedsOutcome(allowed, left) if left else allowed


def admit(
    compiled: CompiledConfig,
    route: CompiledRoute,
    provider: str,
    facts: Facts,
    context: DecisionContext,
    now: float,
) -> Identity | Refusal:
    """The identity of a caller with these facts, or the refusal where they are not enough for the route."""
    captures = NO_CAPTURES if not route.policy.needs_captures else context.captures
    issuer = compiled.trusted_issuers[provider]
    return judge(route.policy, facts, issuer, captures, now, context.presented) or render(route.identity, facts, now)


def unproven(compiled: CompiledConfig, context: DecisionContext, now: float) -> Refusal | None:
    """The refusal of a proof that does not fit at wall-clock time `now`, as far as that costs nothing."""
    proof = context.presented.proof
    return None if proof is None else proof_problem(proof, compiled.nonces, now)


def _certificate(compiled: CompiledConfig, context: DecisionContext) -> str | None:
    """The thumbprint of the client's certificate. That of a trusted proxy's own connection is not its clients'."""
    if not context.caller.trusted:
        return context.request.certificate
    header = compiled.client_certificate
    if header is None:
        return None
    return thumbprint_in(values_of(context.request.fields.pairs, header.name.lower()), header.form)


def _too_large(compiled: CompiledConfig, request: Request) -> Refusal:
    if len(request.target) > compiled.head_limits.bytes_max:
        return Refusal("uri_too_long", "the request target is too long")
    return Refusal("headers_too_large", "the header fields are too large or too many")


def _own(
    compiled: CompiledConfig, request: Request, caller: Caller, target: Target, body_bytes: int
) -> Decision | None:
    """The decision on a request that the gateway answers itself, whatever a route says."""
    if compiled.events_prefix is not None and (target.bare_path + "/").startswith(compiled.events_prefix + "/"):
        context = DecisionContext(request, caller, target, body_bytes)
        if target.has_parameters:
            return Refuse(context, unrouted(target, None))
        return _received(context, target.path.removeprefix(compiled.events_prefix))
    document = compiled.resources.get((target.host, target.path)) if compiled.resources else None
    if compiled.keys_path is not None and target.path == compiled.keys_path:
        document = compiled.keys
    if document is not None:
        context = DecisionContext(request, caller, target, body_bytes)
        if request.method in document.methods:
            return Publish(context, document)
        return Refuse(context, wrong_method("the document is only read", document.methods))
    if request.method == "OPTIONS" and compiled.answers_preflights:
        return _preflighted(compiled, request, caller, target, body_bytes)
    return None


def _received(context: DecisionContext, rest: str) -> Decision:
    """Decide on a path under the events' prefix, which is the gateway's own on every host."""
    kind = _RECEIVED.get(rest)
    if kind is None:
        return Refuse(context, Refusal("no_route", "there is no such resource here", reason=_NO_EVENTS))
    if context.request.method != "POST":
        return Refuse(context, wrong_method("the resource takes only POST", ("POST",)))
    return Receive(context, kind)


def _preflighted(
    compiled: CompiledConfig, request: Request, caller: Caller, target: Target, body_bytes: int
) -> Preflight | None:
    """The decision on a preflight for a route with `cors`; `None` where the request is not one."""
    fields = request.fields
    if len(fields.origins) != 1 or len(fields.asked_methods) != 1:
        return None
    method = fields.asked_methods[0]
    found = compiled.table.find(target.host, target.segments, method)
    if not isinstance(found, Matched) or found.value.cors is None:
        return None
    answer = preflight_answer(found.value.cors, fields.origins[0], method, fields.asked_headers)
    return Preflight(DecisionContext(request, caller, target, body_bytes, found), answer)


def _authenticate(context: DecisionContext, route: CompiledRoute) -> Decision:
    if route.mode == "none":
        return _admitted(context, route, NOBODY, None)
    token = bearer_token(context.request.fields.authorizations) if route.token_places is None else NO_TOKEN
    if not isinstance(token, Token):
        found = find_credentials(context, route)
        if not isinstance(found, RequestCredentials):
            return Refuse(*found)
        token, context, route = found.token, found.context, found.route
        if isinstance(token, NoToken):
            if route.mode == "optional":
                return _admitted(context, route, NOBODY, None)
            missing = challenge("token_missing", "this resource needs a bearer token", reason=found.reason)
            return Refuse(context, missing)
    providers = route.providers if len(route.providers) == 1 else _providers_for(route, token)
    if not providers:
        return Refuse(context, challenge("invalid_token", "the token is from another issuer"))
    tolerated_s = route.tolerances_s.get(context.request.method)
    question = Question(providers[0], token, route.max_age_s, tolerated_s, context.caller.address)
    return NeedsFacts(context, route, question, providers[1:])


def _providers_for(route: CompiledRoute, token: Token) -> tuple[str, ...]:
    """The providers to ask. Among several, the unverified issuer of a JWT picks one; it never lets anything in."""
    issuer = unverified_issuer(token)
    return route.providers if issuer is None else route.providers_by_issuer.get(issuer, ())


def _admitted(
    context: DecisionContext, route: CompiledRoute, identity: Identity, question: Question | None
) -> Decision:
    decision = _forward(context, route, identity)
    is_settled = not route.has_conditions and context.presented is AS_BEARER
    if is_settled or not isinstance(decision, Allow):
        return decision
    conditions = conditions_of(decision, question)
    if isinstance(conditions, Refusal):
        return Refuse(context, conditions)
    return NeedsOutcome(decision, conditions) if conditions else decision


def _forward(context: DecisionContext, route: CompiledRoute, identity: Identity) -> Decision:
    target, matched = context.target, context.matched
    assert target is not None and matched is not None  # noqa: PT018 - the route was found by them
    path = target.path
    if route.moves_path:
        path = moved(target, matched)
        if problem := path_problem(path):
            return Refuse(context, Refusal("invalid_target", "the path cannot be forwarded", reason=problem))
    if route.max_body_bytes is not None and context.body_bytes > route.max_body_bytes:
        return Refuse(context, Refusal("content_too_large", "the body is too large"))
    return Allow(context, route, target, path, identity)
