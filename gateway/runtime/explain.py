"""Explains how a request would be decided: the pipeline's own decision, step by step in words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, assert_never

from gateway.authn.facts import Facts, Inactive, Indeterminate, IntrospectionResult, TooMany
from gateway.authn.jwt_hint import own_words
from gateway.authn.question import FactsLookup, Question
from gateway.compiled import CompiledConfig
from gateway.decision import Allow, Decision, NeedsFacts, NeedsOutcome, Preflight, Publish, Receive, Refuse
from gateway.http.refusal import Refusal
from gateway.introspection.admission import Admission
from gateway.introspection.authenticator import Authenticator
from gateway.nearest_routes import nearest_routes
from gateway.pipeline import conclude, resume
from gateway.proxy.condition_port import ConditionPorts
from gateway.runtime.offline import decide_by, first_decision, request_to, result_with, stand_in_token

_ASKED = "answered: 200 to the proxy that asks at decisions.listen, for the route has no backend"


async def explain(
    compiled: CompiledConfig,
    authenticator: Authenticator,
    method: str,
    url: str,
    token: str | None = None,
    conditions: ConditionPorts | None = None,
) -> dict[str, Any]:
    """`{"route", "decision", "status", "code", "steps"}` for a request to `url`, a path or a whole URL.

    Asks the provider where the caches do not know the token. Raises `ValueError` where `url` is neither of these.
    """
    steps: list[str] = []
    admission = Admission(compiled, authenticator, None)  # no limit for the operator
    decision = first_decision(compiled, request_to(compiled, method, url, token=token))
    while isinstance(decision, NeedsFacts):
        question = decision.question
        lookup = authenticator.cached(question)
        if (
            lookup is None
            and not authenticator.was_recently_active(question)
            and (why := admission.cannot_be_valid(decision))
        ):
            steps.append(f"{question.provider} need not be asked: {why}")
            lookup = FactsLookup(Inactive(time.time(), why), None)
        else:
            lookup = lookup or await authenticator.look_up(question)
            steps += _steps_of(compiled, question, lookup)
        decision = resume(compiled, decision, lookup.result, time.time())
    while isinstance(decision, NeedsOutcome):
        condition = decision.conditions[0]
        outcome, why = await (conditions or ConditionPorts()).of(condition).foresee(condition)
        steps.append(f"{condition.in_words}: {why}")
        decision = conclude(decision, outcome)
    return _explained(compiled, decision, steps)


def explain_offline(
    compiled: CompiledConfig, method: str, url: str, claims: Mapping[str, Any], now: float
) -> dict[str, Any]:
    """Explain the same for a token whose introspection would have `claims`. Asks nobody."""
    result = result_with(claims, now)
    decision = decide_by(compiled, request_to(compiled, method, url, token=stand_in_token(claims)), result, now)
    return _explained(compiled, decision, [f"facts as given: {_in_words(result)}"])


def _explained(compiled: CompiledConfig, decision: Decision, steps: list[str]) -> dict[str, Any]:
    return {
        **_outcome(decision),
        "steps": [*_steps_before(decision), *steps, *_steps_after(decision), *_nearest(compiled, decision)],
    }


def _steps_of(compiled: CompiledConfig, question: Question, lookup: FactsLookup) -> list[str]:
    stands_in = ", used because the provider cannot tell" if lookup.stale_s is not None else ""
    issuer = compiled.trusted_issuers[question.provider]
    is_asked = issuer.validation != "jwt"
    source = lookup.tier if is_asked or lookup.tier != "provider" else "the token itself, by the provider's keys"
    steps = [f"facts of {question.provider} from {source}: {_in_words(lookup.result)}{stands_in}"]
    if isinstance(lookup.result, Inactive) and is_asked:
        steps += own_words(question.token, issuer.issuer, issuer.client_id, time.time())
    return steps


def _nearest(compiled: CompiledConfig, decision: Decision) -> list[str]:
    context = decision.context
    if not isinstance(decision, Refuse) or context.target is None or context.route is not None:
        return []
    configs = (route.config for route in compiled.routes)
    near = nearest_routes(configs, context.target.host, context.target.segments, context.request.method)
    return [f"near: {words}" for words in near]


def _outcome(decision: Decision) -> dict[str, Any]:
    route = decision.context.route
    refusal = decision.refusal if isinstance(decision, Refuse) else None
    return {
        "route": route.name if route is not None else None,
        "decision": "refuse" if refusal else "allow",
        "status": refusal.status if refusal else None,
        "code": refusal.code if refusal else None,
    }


def _steps_before(decision: Decision) -> list[str]:
    context = decision.context
    steps = []
    if context.target is not None:
        steps.append(f"target: host {context.target.host}, path {context.target.path}")
    if context.route is not None:
        match = context.route.config.match
        steps.append(f"route: {context.route.name} ({match.host or 'any host'}, {match.path})")
        steps += [f"captured: {name} = {value}" for name, value in context.captures.items()]
        steps.append(f"auth: {context.route.config.auth.mode}")
    return steps


def _steps_after(decision: Decision) -> list[str]:
    match decision:
        case Refuse():
            reason = decision.refusal.reason
            # Why a provider cannot tell stands in its own step already.
            is_new = reason and decision.refusal.code != "introspection_unavailable"
            return [f"refused: {decision.refusal.detail}" + (f" ({reason})" if is_new else "")]
        case Allow():
            path = decision.path_and_query.partition("?")[0]
            backends = ", ".join(str(backend) for backend in decision.route.config.backend)
            names = [name for name in decision.route.config.identity.names if name in dict(decision.identity.pairs)]
            gone = f"forwarded: as {path} to {backends}" if backends else _ASKED
            return [f"identity headers: {', '.join(names) or 'none'}", gone]
        case Preflight():
            if isinstance(decision.answer, Refusal):
                return [f"refused: {decision.answer.detail}"]
            return ["answered: a CORS preflight, by the gateway itself"]
        case Publish():
            return [f"answered: {decision.document.what}, by the gateway itself"]
        case Receive():
            return ["answered: an event of a provider, by the gateway itself"]
        case NeedsFacts() | NeedsOutcome():
            raise AssertionError("a decision that still needs something was taken for final")
        case _:
            assert_never(decision)


def _in_words(result: IntrospectionResult | TooMany) -> str:
    match result:
        case Facts():
            age_s = max(0, round(time.time() - result.introspected_at))
            return f"active, introspected {age_s} s ago"
        case Inactive():
            return "not active"
        case Indeterminate():
            return f"cannot tell, {result.reason}"
        case TooMany():
            return "not asked"
        case _:
            assert_never(result)
