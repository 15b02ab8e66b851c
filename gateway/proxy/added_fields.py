"""Adds the gateway's fields to a response, its own or a backend's, in both lanes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from gateway.config.route_model import Cors
from gateway.decision import Decision, DecisionContext, Preflight, Refuse
from gateway.limits.limit import CompiledLimit
from gateway.limits.rate_fields import Fields
from gateway.proxy.access_record import AccessRecord

_ANY: Final = "*"


class LimitsTold(Protocol):
    """Tells what is left of limits without spending any."""

    def fields(self, context: DecisionContext, limits: tuple[CompiledLimit, ...]) -> Fields: ...


def added_fields(decision: Decision, record: AccessRecord, limits: LimitsTold | None = None) -> list[tuple[str, str]]:
    """Names and values. For a preflight only the fields of a refusal: its response has the rest of CORS.

    `limits` tells of limits where another condition, or the policy, has refused before these were asked about.
    """
    route, fields = decision.context.route, list[tuple[str, str]]()
    if route is None:
        return fields
    cors = route.cors
    if cors is not None:
        fields = cors_fields(cors, () if isinstance(decision, Preflight) else decision.context.request.fields.origins)
    for met in decision.context.met:
        fields += met.fields
    if limits is not None and route.limits and isinstance(decision, Refuse) and not _tells_of_limits(decision):
        fields += limits.fields(decision.context, route.limits)
    if record.stale_s is not None:
        # Facts are used that are no longer fresh: how many seconds old they are.
        fields.append(("X-Identity-Stale", str(int(record.stale_s))))
    return fields


def _tells_of_limits(decision: Refuse) -> bool:
    return any(name == "RateLimit" for name, _ in decision.refusal.headers)


def cors_fields(cors: Cors, origins: Sequence[str]) -> list[tuple[str, str]]:
    """The CORS fields for a request that is not a preflight (Fetch standard §3.2). Only the first `Origin` counts."""
    allowed = cors.allow_origins
    fields: list[tuple[str, str]] = []
    if origins and (origins[0] in allowed or _ANY in allowed):
        # A public resource says so and stays cacheable; no origin is echoed that is not named.
        fields.append(("Access-Control-Allow-Origin", _ANY if _ANY in allowed else origins[0]))
        if cors.expose_headers:
            fields.append(("Access-Control-Expose-Headers", ",".join(cors.expose_headers)))
        if cors.allow_credentials:
            fields.append(("Access-Control-Allow-Credentials", "true"))
    fields.append(("Vary", "Origin"))
    return fields
