"""Checks how recently, and in which way, a caller signed in: step-up authentication (RFC 9470). Pure.

A token that does not say so fails the check. The challenge names both demands, so that one new sign-in is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.authn.facts import Claims
from gateway.config.auth_model import Auth
from gateway.http.refusal import Refusal, challenge
from gateway.policy_reasons import signed_in_long_ago, wrong_acr

_CODE = "insufficient_user_authentication"
_CLOCKS_APART_S = 60.0  # the provider may be ahead of us by so much


@dataclass(frozen=True, slots=True)
class Authentication:
    """Holds the demands of one route: one of `acr` (empty: any), and a sign-in that is at most `max_age_s` old."""

    acr: tuple[str, ...]
    max_age_s: float | None


def compile_authentication(auth: Auth) -> Authentication | None:
    """Collect the demands of a route; `None` where it has none of these."""
    if not auth.acr and auth.max_auth_age is None:
        return None
    return Authentication(auth.acr, auth.max_auth_age)


def authentication_problem(demands: Authentication, claims: Claims, now: float) -> Refusal | None:
    """The refusal of a caller with these claims at wall-clock time `now`, if any (RFC 9470 §3)."""
    acr = claims.get("acr")
    if demands.acr and not (isinstance(acr, str) and acr in demands.acr):
        return _refusal(demands, wrong_acr(acr, demands.acr))
    signed_in_at = claims.get("auth_time")
    if demands.max_age_s is not None and not _is_recent(signed_in_at, demands.max_age_s, now):
        return _refusal(demands, signed_in_long_ago(signed_in_at, demands.max_age_s, now))
    return None


def _refusal(demands: Authentication, reason: str) -> Refusal:
    parameters = []
    if demands.acr:
        parameters.append(("acr_values", " ".join(demands.acr)))
    if demands.max_age_s is not None:
        parameters.append(("max_age", str(int(demands.max_age_s))))
    return challenge(_CODE, "another sign-in is needed", parameters=parameters, reason=reason)


def _is_recent(signed_in_at: object, max_age_s: float, now: float) -> bool:
    """A moment that is far ahead, such as one in milliseconds, is not a sign-in that anybody has seen."""
    if isinstance(signed_in_at, bool) or not isinstance(signed_in_at, int | float):
        return False
    # Compared and not subtracted: an integer of hundreds of digits does not fit into a float.
    return now - max_age_s <= signed_in_at <= now + _CLOCKS_APART_S
