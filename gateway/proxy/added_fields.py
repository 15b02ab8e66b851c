"""Adds the gateway's fields to a response, its own or a backend's, in both lanes."""

from __future__ import annotations

from typing import Final, Protocol

from gateway.cors import VARIES, cors_fields
from gateway.decision import Allow, Decision, DecisionContext, Preflight, Refuse
from gateway.http.refusal import Refusal
from gateway.limits.limit import CompiledLimit
from gateway.limits.rate_fields import Fields
from gateway.proxy.access_record import AccessRecord

_CHALLENGED: Final = (401, 403)


class LimitsTold(Protocol):
    """Tells what is left of limits without spending any."""

    def fields(self, context: DecisionContext, limits: tuple[CompiledLimit, ...]) -> Fields: ...


def added_fields(decision: Decision, record: AccessRecord, limits: LimitsTold | None = None) -> list[tuple[str, str]]:
    """Names and values: of a preflight's response all of them, but those of a refusal.

    `limits` tells of limits where another condition, or the policy, has refused before these were asked about.
    """
    route, fields = decision.context.route, list[tuple[str, str]]()
    if route is None:
        return fields
    cors = route.cors
    if cors is not None:
        if isinstance(decision, Preflight):
            fields = [VARIES] if isinstance(decision.answer, Refusal) else [*decision.answer, VARIES]
        else:
            fields = cors_fields(cors, decision.context.request.fields.origins, says_how=_says_how(decision))
    for met in decision.context.met:
        fields += met.fields
    if limits is not None and route.limits and not isinstance(decision, Allow) and not _tells_of_limits(decision):
        fields += limits.fields(decision.context, route.limits)
    if record.stale_s is not None:
        # Facts are used that are no longer fresh: how many seconds old they are.
        fields.append(("X-Identity-Stale", str(int(record.stale_s))))
    return fields


def _tells_of_limits(decision: Decision) -> bool:
    return isinstance(decision, Refuse) and any(name == "RateLimit" for name, _ in decision.refusal.headers)


def _says_how(decision: Decision) -> bool:
    """Whether the response says how a token or its proof is to come."""
    if isinstance(decision, Refuse):
        return decision.refusal.status in _CHALLENGED
    return decision.context.presented.is_dpop
