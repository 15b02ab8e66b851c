"""Finds the token of a request that does not come the usual way, and the proof that comes with it. Pure.

The usual way is Bearer in `Authorization`; `gateway.pipeline` reads that itself. The others are the scheme DPoP
(RFC 9449 §7.1) and the places that `auth.token_from` names. What is wrong with a proof before its token is known is
told here, so that it costs nobody a question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.authn.bearer import NO_TOKEN, Malformed, NoToken, Token, bearer_token, dpop_token
from gateway.authn.bearer_reasons import why_malformed, why_no_token
from gateway.authn.dpop_proof import Asked, read_proof
from gateway.authn.presented import AS_BEARER, Presented
from gateway.authn.token_places import FoundToken, find_token
from gateway.compiled import CompiledRoute
from gateway.decision import DecisionContext
from gateway.http.headers import values_of
from gateway.http.refusal import Refusal, challenge
from gateway.possession import bad_proof


@dataclass(frozen=True, slots=True)
class RequestCredentials:
    """Holds the token of a request, if it has one. `context` no longer knows a token that stood in the query.

    `route` stands in for the matched one where the response needs other rules. `reason` is for the operator.
    """

    token: Token | NoToken
    context: DecisionContext
    route: CompiledRoute
    reason: str = ""


def find_credentials(
    context: DecisionContext, route: CompiledRoute
) -> RequestCredentials | tuple[DecisionContext, Refusal]:
    """What a request has, wherever the route looks for it; or its refusal."""
    fields, target, places = context.request.fields, context.target, route.token_places
    assert target is not None  # the route was found by it
    values = fields.authorizations if places is None or places.has_authorization else ()
    scheme = _in_authorization(values)
    if places is None:
        found = FoundToken(scheme[0], in_authorization=True, reason=why_no_token(values))
    else:
        token = scheme[0] if isinstance(scheme[0], Token) else None
        found = find_token(places, fields, target.query, token)
        context = context.asking_for(target.with_query(places.without_tokens(target.query)))
    if isinstance(scheme[0], Malformed):
        return context, _malformed("the Authorization header is not one bearer token", why_malformed(values))
    if isinstance(found.token, Malformed):
        return context, _malformed("the request has more than one token, or one that is malformed", found.reason)
    if found.in_query and route.for_query_token is not None:
        route = route.for_query_token
    if isinstance(found.token, NoToken):
        return RequestCredentials(NO_TOKEN, context, route, found.reason)
    presented = _presented(context, route, found, is_dpop=scheme[1])
    if isinstance(presented, Refusal):
        return context.as_presented(Presented(is_dpop=True)), presented
    return RequestCredentials(found.token, context.as_presented(presented), route)


def _in_authorization(values: Sequence[str]) -> tuple[Token | NoToken | Malformed, bool]:
    """The token in `Authorization`, and whether its scheme is DPoP."""
    token = bearer_token(values)
    if token is NO_TOKEN and values:
        of_dpop = dpop_token(values)
        return (of_dpop, True) if of_dpop is not NO_TOKEN else (NO_TOKEN, False)
    return token, False


def _presented(
    context: DecisionContext, route: CompiledRoute, found: FoundToken, *, is_dpop: bool
) -> Presented | Refusal:
    if not is_dpop:
        return AS_BEARER if found.in_authorization else Presented(in_authorization=False)
    if route.policy.ignores_proof:
        return Presented(is_dpop=True)
    request = context.request
    assert isinstance(found.token, Token)  # the caller has seen to it
    asked = Asked(request.method, _uri_of(context), found.token)
    proof = read_proof(values_of(request.fields.pairs, "dpop"), asked, route.dpop_algorithms)
    return bad_proof(proof) if isinstance(proof, str) else Presented(is_dpop=True, proof=proof)


def _uri_of(context: DecisionContext) -> str:
    """The URL that the client asked for, as far as we, or the trusted proxies before us, know (RFC 9449 §4.3)."""
    caller, target = context.caller, context.target
    assert target is not None  # as above
    return f"{caller.proto}://{caller.authority or target.authority}{caller.prefix}{target.path}"


def _malformed(detail: str, reason: str) -> Refusal:
    return challenge("invalid_request", detail, reason=reason)
