"""Decides how long a result may be kept. Nothing outlives the token's own `exp` (CWE-613)."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.authn.bearer import Token
from gateway.authn.compact_jws import Unverified, is_time, read_unverified
from gateway.authn.facts import Facts, Inactive, IntrospectionResult
from gateway.authn.jwt_hint import CLOCKS_APART_S
from gateway.introspection.ports import Memorable


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Holds `cache.ttl` and `cache.inactive_ttl`; 0 keeps nothing of that type."""

    active_s: float
    inactive_s: float


def left_s(result: Memorable, age_s: float, now: float, lifetimes: Lifetimes) -> float:
    """For how many more seconds a result of `age_s` is fresh at `now` (wall clock); 0 when it is not.

    A clock that went back makes an age below zero. It counts as zero, never as a longer life.
    """
    age_s = max(0.0, age_s)
    if isinstance(result, Inactive):
        return max(0.0, lifetimes.inactive_s - age_s)
    left = lifetimes.active_s - age_s
    if result.exp is not None:
        left = min(left, result.exp - now)
    return max(0.0, left)


def as_of(result: IntrospectionResult, now: float) -> IntrospectionResult:
    """`result` as it is at `now`: a token past its `exp` is inactive, even if the provider calls it active (RFC 7662
    §4).
    """
    if isinstance(result, Facts) and result.exp is not None and result.exp <= now:
        return Inactive(result.introspected_at, f"its exp, {result.exp:.0f}, is past by this clock")
    return result


def within_own_end(result: IntrospectionResult, token: Token, *, is_verified: bool) -> IntrospectionResult:
    """`result` of a provider, with facts that end no later than the JWT that they are about.

    `exp` is optional in an introspection response (RFC 7662 §2.2), and facts without one would outlive the token in the
    caches. With `is_verified` this clock has judged the JWT's own `exp`, and none later counts. Otherwise the clock of
    the provider has: a response that names another counts, and the two may be as far apart as for an unknown token.
    """
    if not isinstance(result, Facts) or (result.exp is not None and not is_verified):
        return result
    jwt = read_unverified(token.value, containers_max=None)
    own = jwt.claims.get("exp") if isinstance(jwt, Unverified) else None
    if not is_time(own):
        return result
    ends = own if is_verified else own + CLOCKS_APART_S
    if result.exp is not None and result.exp <= ends:
        return result
    return Facts(result.claims, result.introspected_at, ends, result.nbf, result.scopes, result.phantom)
