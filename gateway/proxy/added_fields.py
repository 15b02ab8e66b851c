"""Adds the gateway's fields to a response, its own or a backend's, in both lanes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from gateway.config.route_model import Cors
from gateway.decision import Allow, Decision, DecisionContext, Preflight, Refuse
from gateway.limits.limit import CompiledLimit
from gateway.limits.rate_fields import Fields
from gateway.proxy.access_record import AccessRecord

_ANY: Final = "*"
_CHALLENGED: Final = (401, 403)
_HINTS: Final = ("DPoP-Nonce", "WWW-Authenticate")


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
        origins = () if isinstance(decision, Preflight) else decision.context.request.fields.origins
        fields = cors_fields(cors, origins, says_how=_says_how(decision))
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


def cors_fields(cors: Cors, origins: Sequence[str], *, says_how: bool = False) -> list[tuple[str, str]]:
    """The CORS fields for a request that is not a preflight (Fetch standard §3.2). Only the first `Origin` counts.

    `says_how`: a page has to read the challenge, or the nonce for its next proof (RFC 9449 §8.2).
    """
    allowed = cors.allow_origins
    fields: list[tuple[str, str]] = []
    if origins and (origins[0] in allowed or _ANY in allowed):
        # A public resource says so and stays cacheable; no origin is echoed that is not named.
        fields.append(("Access-Control-Allow-Origin", _ANY if _ANY in allowed else origins[0]))
        exposed = _with_hints(cors.expose_headers) if says_how else cors.expose_headers
        if exposed:
            fields.append(("Access-Control-Expose-Headers", ",".join(exposed)))
        if cors.allow_credentials:
            fields.append(("Access-Control-Allow-Credentials", "true"))
    fields.append(("Vary", "Origin"))
    return fields


def _with_hints(names: Sequence[str]) -> list[str]:
    written = {name.lower() for name in names}
    # `*` does not stand for any name where a request has credentials.
    return [*names, *(name for name in _HINTS if name.lower() not in written)]
