"""Judges whether the facts satisfy a route: times, issuer, audience, scopes, roles, claims.

Every request is judged anew, on cached facts as on fresh ones: facts are cached, decisions never are (CVE-2021-32701).
Comparisons are exact and typed; a value of the wrong type counts as absent. RFC 7662 §4, RFC 6750 §3.1, RFC 9068 §4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.authn.claims import claim_at
from gateway.authn.facts import Claims, Facts
from gateway.authn.token_type import TokenTypeRule, is_untyped, missing_proof, unknown_condition
from gateway.config.auth_model import Auth
from gateway.config.claim_paths import ClaimRule, Scalar, Template
from gateway.http.percent import percent_decoded
from gateway.http.refusal import Refusal, challenge
from gateway.policy_reasons import (
    has_ended,
    is_ahead,
    missing_roles,
    missing_scope,
    wrong_audience,
    wrong_claim,
    wrong_issuer,
)

# A provider's clock may be so far ahead of ours if it sets `nbf` to the moment of issue. `nbf` is that moment if it is
# within `_AT_ONCE_S` of `iat`.
_CLOCKS_APART_S = 5.0
_AT_ONCE_S = 1.0
_REALM_ROLES = ("realm_access", "roles")
_UNTYPED = "the answer has no token_type, which this provider's access tokens have; see require_token_type"


@dataclass(frozen=True, slots=True)
class Policy:
    """Holds what one route demands, with every set built beforehand."""

    scopes: frozenset[str]
    any_scope: frozenset[str]
    audience: frozenset[str]
    issuer: str | None  # configured on the route: the facts must carry it
    roles: tuple[str, ...]
    claims: tuple[ClaimRule, ...]
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


def compile_policy(auth: Auth) -> Policy:
    return Policy(
        scopes=frozenset(auth.scopes),
        any_scope=frozenset(auth.any_scope),
        audience=frozenset(auth.audience),
        issuer=auth.issuer,
        roles=auth.roles,
        claims=auth.claims,
        demands_proof=auth.proof == "required",
        ignores_proof=auth.proof == "ignore",
    )


def judge(
    policy: Policy, facts: Facts, trusted_issuer: TrustedIssuer, captures: Mapping[str, str], now: float
) -> Refusal | None:
    """The refusal of a request with these facts at wall-clock time `now`, or `None` when it may pass."""
    # `exp` gets no leeway, because the provider has just judged the token. It is exclusive (RFC 7519 §4.1.4).
    if facts.exp is not None and now >= facts.exp:
        return challenge("invalid_token", "the token has expired", reason=has_ended(facts.exp, now))
    if facts.nbf is not None and now < facts.nbf and now + (leeway_s := _leeway_s(trusted_issuer, facts)) < facts.nbf:
        reason = is_ahead(facts.nbf, now, leeway_s)
        return challenge("invalid_token", "the token is not valid yet", reason=reason)
    claims = facts.claims
    if (not facts.memo.is_plain or policy.demands_proof) and (refusal := _type_problem(policy, facts, trusted_issuer)):
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
    if policy.roles and not all(_has_role(claims, role, trusted_issuer.client_id) for role in policy.roles):
        return _lacks_role(claims, policy.roles, trusted_issuer.client_id)
    return _claim_problem(policy.claims, claims, captures) if policy.claims else None


def _claim_problem(rules: tuple[ClaimRule, ...], claims: Claims, captures: Mapping[str, str]) -> Refusal | None:
    for rule in rules:
        if not _holds(rule, claims, captures):
            reason = wrong_claim(rule.path, claim_at(claims, rule.path), _accepted(rule, captures))
            return challenge("forbidden", "a claim of the token is not what this route asks for", reason=reason)
    return None


def _lacks_scope(facts: Facts, wanted: frozenset[str], *, is_any: bool) -> Refusal:
    reason = missing_scope(facts.scopes, wanted, is_any=is_any)
    return challenge("insufficient_scope", "the token lacks a scope", scope=wanted, reason=reason)


def _lacks_role(claims: Claims, wanted: tuple[str, ...], client_id: str) -> Refusal:
    missing = [role for role in wanted if not _has_role(claims, role, client_id)]
    present = [*_list_at(claims, _REALM_ROLES), *_list_at(claims, ("resource_access", client_id, "roles"))]
    for client in {role.partition(":")[0] for role in wanted if ":" in role}:
        present += [f"{client}:{role}" for role in _list_at(claims, ("resource_access", client, "roles"))]
    reason = missing_roles(map(str, present), missing, wanted)
    return challenge("forbidden", "the token lacks a role that this route asks for", reason=reason)


def _leeway_s(trusted_issuer: TrustedIssuer, facts: Facts) -> float:
    """The leeway for `nbf`. A provider that sets it to the moment of issue, as Spring and Hydra do, means no delay."""
    if trusted_issuer.leeway_s is not None:
        return trusted_issuer.leeway_s
    issued_at, nbf = facts.claims.get("iat"), facts.nbf
    if nbf is None or isinstance(issued_at, bool) or not isinstance(issued_at, int | float):
        return 0.0
    return _CLOCKS_APART_S if nbf - _AT_ONCE_S <= issued_at <= nbf + _AT_ONCE_S else 0.0


def _type_problem(policy: Policy, facts: Facts, trusted_issuer: TrustedIssuer) -> Refusal | None:
    """The refusal of a token that is not an access token, or that is valid only with a proof or under a condition."""
    claims, wanted = facts.claims, None
    if policy.demands_proof:
        wanted = "the route wants a proof of possession (proof: required), and none can be verified here"
    elif not policy.ignores_proof:
        wanted = missing_proof(claims)
    if wanted is not None:
        return challenge("invalid_token", "the token is good only with a proof of possession", reason=wanted)
    if (reason := unknown_condition(claims)) is not None:
        return challenge("invalid_token", "the token has a condition that is not understood here", reason=reason)
    if is_untyped(claims):
        if trusted_issuer.token_types.required:
            return challenge("invalid_token", "the token is not an access token", reason=_UNTYPED)
    elif missing_proof(claims) is None:
        facts.memo.is_plain = True
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


def _has_role(claims: Claims, role: str, client_id: str) -> bool:
    """Looks in Keycloak's two places. `client:role` is a role of another client; its name ends at the first colon."""
    client, colon, name = role.partition(":")
    if colon:
        return _list_has(claims, ("resource_access", client, "roles"), name)
    return _list_has(claims, _REALM_ROLES, role) or _list_has(claims, ("resource_access", client_id, "roles"), role)


def _list_has(claims: Claims, path: tuple[str, ...], wanted: str) -> bool:
    return wanted in _list_at(claims, path)


def _list_at(claims: Claims, path: tuple[str, ...]) -> list[Any]:
    value: Any = claims.get(path[0])
    for name in path[1:]:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, list) else []


def _holds(rule: ClaimRule, claims: Claims, captures: Mapping[str, str]) -> bool:
    values = _values(claim_at(claims, rule.path))
    accepted = _accepted(rule, captures)
    return any(_is_equal(one, wanted) for one in values for wanted in accepted)


def _accepted(rule: ClaimRule, captures: Mapping[str, str]) -> list[Scalar | None]:
    return [_expected(wanted, captures) for wanted in rule.accepted]


def _values(claim: Any) -> list[Any]:
    """The values of a claim that are compared: each element of a list, each name in an object.

    Keycloak's `organization` is `{"acme": {…}}`: a name counts if its value is an object or `true`. Beside any other
    value the name is only a label (`{"country": "DE"}`), and beside `false` or `null` it means the opposite.
    """
    if isinstance(claim, dict):
        return [name for name, value in claim.items() if value is True or isinstance(value, dict)]
    return claim if isinstance(claim, list) else [claim]


def _expected(wanted: Scalar | Template, captures: Mapping[str, str]) -> Scalar | None:
    """The value to compare with; `None`, which equals no claim, if the path is not UTF-8."""
    if not isinstance(wanted, Template):
        return wanted
    texts = list(wanted.parts)
    for index in range(1, len(texts), 2):
        decoded = percent_decoded(captures[texts[index]])
        if decoded is None:
            return None
        texts[index] = decoded
    return "".join(texts)


def _is_equal(claim: Any, wanted: Scalar | None) -> bool:
    """Compares value and type: `true` is not `1` and not `"true"`. JSON has one type of number (RFC 8259 §6)."""
    if isinstance(claim, bool) or isinstance(wanted, bool):
        return claim is wanted
    if isinstance(claim, str) or isinstance(wanted, str):
        return isinstance(claim, str) and isinstance(wanted, str) and claim == wanted
    return isinstance(claim, int | float) and wanted is not None and claim == wanted
