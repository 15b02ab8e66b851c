"""Judges whether the facts satisfy a route: times, issuer, audience, scopes, roles, claims.

Every request is judged anew, on cached facts as on fresh ones: facts are cached, decisions never are (CVE-2021-32701).
Comparisons are exact and typed; a value of the wrong type counts as absent. RFC 7662 §4, RFC 6750 §3.1, RFC 9068 §4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.authn.confirmation import confirmation_of
from gateway.authn.facts import Claims, Facts
from gateway.authn.leeway import leeway_s
from gateway.authn.presented import AS_BEARER, Presented
from gateway.authn.token_type import TokenTypeRule, is_untyped, unknown_condition
from gateway.config.algorithms import SIGNATURE_ALGORITHMS
from gateway.config.auth_model import Auth
from gateway.config.provider_model import Provider
from gateway.entitlements import Entitlements, compile_entitlements, entitlement_problem
from gateway.http.refusal import Refusal, challenge
from gateway.policy_reasons import (
    has_ended,
    is_ahead,
    missing_scope,
    wrong_audience,
    wrong_issuer,
)
from gateway.possession import bad_proof, possession_problem
from gateway.step_up import Authentication, authentication_problem, compile_authentication

_UNTYPED = "the answer has no token_type, which this provider's access tokens have; see require_token_type"


@dataclass(frozen=True, slots=True)
class Policy:
    """Holds what one route demands, with every set built beforehand."""

    scopes: frozenset[str]
    any_scope: frozenset[str]
    audience: frozenset[str]
    issuer: str | None  # configured on the route: the facts must carry it
    authentication: Authentication | None
    entitlements: Entitlements | None
    needs_captures: bool = False  # a claim is compared with a part of the path
    demands_proof: bool = False  # of each token, bound or not
    ignores_proof: bool = False  # Danger: somebody who steals a bound token can use it


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """Holds what is expected of a provider's facts: the issuer they name, and the client whose roles count as ours.

    Its clock may be ahead of ours by `leeway_s`; `None` if that is not configured.
    """

    issuer: str | None
    client_id: str
    leeway_s: float | None = None
    token_types: TokenTypeRule = field(default_factory=TokenTypeRule)
    validation: str = "introspection"
    algorithms: frozenset[str] = SIGNATURE_ALGORITHMS  # of the proofs for its tokens


def trusted_issuer(provider: Provider, learned: TokenTypeRule | None) -> TrustedIssuer:
    """What is expected of the facts of `provider`. `learned` is the rule of its client, where there is one."""
    rule = learned or TokenTypeRule(provider.require_token_type)
    # A JWT's own claims have no token_type: its header and its marks say what it is.
    rule = TokenTypeRule(mode=False) if provider.validation == "jwt" else rule
    algorithms = frozenset(provider.algorithms)
    return TrustedIssuer(provider.issuer, provider.client_id, provider.leeway, rule, provider.validation, algorithms)


def compile_policy(auth: Auth) -> Policy:
    return Policy(
        scopes=frozenset(auth.scopes),
        any_scope=frozenset(auth.any_scope),
        audience=frozenset(auth.audience),
        issuer=auth.issuer,
        authentication=compile_authentication(auth),
        entitlements=compile_entitlements(auth),
        needs_captures=bool(auth.claims),
        demands_proof=auth.proof == "required",
        ignores_proof=auth.proof == "ignore",
    )


def judge(
    policy: Policy,
    facts: Facts,
    trusted_issuer: TrustedIssuer,
    captures: Mapping[str, str],
    now: float,
    presented: Presented = AS_BEARER,
) -> Refusal | None:
    """The refusal of a request with these facts at wall-clock time `now`, or `None` when it may pass."""
    # `exp` gets no leeway, because the provider has just judged the token. It is exclusive (RFC 7519 §4.1.4).
    if facts.exp is not None and now >= facts.exp:
        return challenge("invalid_token", "the token has expired", reason=has_ended(facts.exp, now))
    if facts.nbf is not None and now < facts.nbf and (refusal := _too_early(facts, facts.nbf, trusted_issuer, now)):
        return refusal
    claims = facts.claims
    refusal = _kind_problem(policy, facts, trusted_issuer, presented)
    if refusal is not None:
        return refusal
    if not _is_from(policy.issuer, trusted_issuer.issuer, claims):
        reason = wrong_issuer(claims, policy.issuer or trusted_issuer.issuer)
        return challenge("invalid_token", "the token is from another issuer", reason=reason)
    if not _is_for(policy.audience, claims):
        reason = wrong_audience(claims, policy.audience)
        return challenge("invalid_token", "the token is for another audience", reason=reason)
    if not policy.scopes <= facts.scopes:
        return _lacks_scope(facts, policy.scopes, is_any=False)
    if policy.any_scope and policy.any_scope.isdisjoint(facts.scopes):
        return _lacks_scope(facts, policy.any_scope, is_any=True)
    if policy.authentication is not None and (refusal := authentication_problem(policy.authentication, claims, now)):
        return refusal
    demands = policy.entitlements
    return None if demands is None else entitlement_problem(demands, claims, trusted_issuer.client_id, captures)


def _lacks_scope(facts: Facts, wanted: frozenset[str], *, is_any: bool) -> Refusal:
    reason = missing_scope(facts.scopes, wanted, is_any=is_any)
    return challenge("insufficient_scope", "the token lacks a scope", scope=wanted, reason=reason)


def _too_early(facts: Facts, nbf: float, trusted_issuer: TrustedIssuer, now: float) -> Refusal | None:
    allowed_s = leeway_s(trusted_issuer.leeway_s, facts.claims.get("iat"), nbf)
    if now + allowed_s >= nbf:
        return None
    return challenge("invalid_token", "the token is not valid yet", reason=is_ahead(nbf, now, allowed_s))


def _kind_problem(policy: Policy, facts: Facts, trusted_issuer: TrustedIssuer, presented: Presented) -> Refusal | None:
    """The refusal of a token that is not an access token, or that is valid only with a proof or under a condition."""
    memo = facts.memo
    if not memo.is_unbound or policy.demands_proof or presented is not AS_BEARER:
        refusal = _binding_problem(policy, facts, trusted_issuer, presented)
        if refusal is not None:
            return refusal
    if trusted_issuer.token_types.required and not memo.is_typed and is_untyped(facts.claims):
        return challenge("invalid_token", "the token is not an access token", reason=_UNTYPED)
    return None


def _binding_problem(
    policy: Policy, facts: Facts, trusted_issuer: TrustedIssuer, presented: Presented
) -> Refusal | None:
    """The refusal of a token that is valid only with a proof or under a condition."""
    claims = facts.claims
    if not policy.ignores_proof:
        if (proof := presented.proof) is not None and proof.algorithm not in trusted_issuer.algorithms:
            # Of a route with several providers the proof was read before it was known whose token it is for.
            return bad_proof(f"the proof's alg is not one of [{', '.join(sorted(trusted_issuer.algorithms))}]")
        refusal = possession_problem(claims, presented, is_demanded=policy.demands_proof)
        if refusal is not None:
            return refusal
    if (reason := unknown_condition(claims)) is not None:
        return challenge("invalid_token", "the token has a condition that is not understood here", reason=reason)
    if not confirmation_of(claims).is_bound:
        facts.memo.is_unbound, facts.memo.is_typed = True, not is_untyped(claims)
    return None


def _is_from(configured: str | None, expected: str | None, claims: Claims) -> bool:
    if "iss" not in claims:
        return configured is None
    issuer = claims["iss"]
    wanted = expected if configured is None else configured
    return isinstance(issuer, str) and (wanted is None or issuer == wanted)


def _is_for(wanted: frozenset[str], claims: Claims) -> bool:
    if "aud" not in claims:
        return not wanted
    audience = claims["aud"]
    named = [audience] if isinstance(audience, str) else audience
    if not isinstance(named, list):
        return False
    for name in named:
        if not isinstance(name, str):
            return False
    return not wanted or not wanted.isdisjoint(named)
