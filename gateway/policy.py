"""Whether the facts are enough for a route: times, issuer, audience, scopes, roles, claims.

Decided anew on every request, on cached facts as on fresh ones: facts are cached, decisions never are
(CVE-2021-32701). Comparisons are exact and typed; what has the wrong type has not been shown. RFC 7662 §4,
RFC 6750 §3.1, RFC 9068 §4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.authn.claims import claim_at
from gateway.authn.facts import Claims, Facts
from gateway.config.claims import ClaimRule, Scalar, Template
from gateway.config.model import Auth
from gateway.config.percent import percent_decoded
from gateway.http.refusal import Refusal, challenge


@dataclass(frozen=True, slots=True)
class Policy:
    """What one route asks for, with every set built beforehand."""

    scopes: frozenset[str]
    any_scope: frozenset[str]
    audience: frozenset[str]
    issuer: str | None  # written out on the route: facts must carry it
    roles: tuple[str, ...]
    claims: tuple[ClaimRule, ...]


@dataclass(frozen=True, slots=True)
class Speaker:
    """The provider whose facts are judged: the issuer it should name, and the client whose roles count as ours."""

    issuer: str | None
    client_id: str


def compile_policy(auth: Auth) -> Policy:
    return Policy(
        scopes=frozenset(auth.scopes),
        any_scope=frozenset(auth.any_scope),
        audience=frozenset(auth.audience),
        issuer=auth.issuer,
        roles=auth.roles,
        claims=auth.claims,
    )


def judge(policy: Policy, facts: Facts, speaker: Speaker, captures: Mapping[str, str], now: float) -> Refusal | None:
    """The refusal of a request with these facts at wall-clock time `now`, or `None` when it may pass."""
    # No leeway: the provider has just said what it thinks of the token. `exp` is exclusive (RFC 7519 §4.1.4).
    if facts.exp is not None and now >= facts.exp:
        return challenge("invalid_token", "the token has expired")
    if facts.nbf is not None and now < facts.nbf:
        return challenge("invalid_token", "the token is not valid yet")
    claims = facts.claims
    if not _is_from(policy.issuer, speaker.issuer, claims):
        return challenge("invalid_token", "the token is from another issuer")
    if not _is_for(policy.audience, claims):
        return challenge("invalid_token", "the token is for another audience")
    if not policy.scopes <= facts.scopes:
        return challenge("insufficient_scope", "the token lacks a scope", scope=policy.scopes)
    if policy.any_scope and policy.any_scope.isdisjoint(facts.scopes):
        return challenge("insufficient_scope", "the token lacks a scope", scope=policy.any_scope)
    if policy.roles and not all(_has_role(claims, role, speaker.client_id) for role in policy.roles):
        return challenge("forbidden", "the token lacks a role that this route asks for")
    for rule in policy.claims:
        if not _holds(rule, claims, captures):
            return challenge("forbidden", "a claim of the token is not what this route asks for")
    return None


def _is_from(written_out: str | None, expected: str | None, claims: Claims) -> bool:
    if "iss" not in claims:
        return written_out is None
    issuer = claims["iss"]
    wanted = expected if written_out is None else written_out
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
    """Keycloak's two places. `client:role` is another client's: the client's name ends at the first colon."""
    client, colon, name = role.partition(":")
    if colon:
        return _lists(claims, ("resource_access", client, "roles"), name)
    return _lists(claims, ("realm_access", "roles"), role) or _lists(
        claims, ("resource_access", client_id, "roles"), role
    )


def _lists(claims: Claims, path: tuple[str, ...], wanted: str) -> bool:
    value: Any = claims.get(path[0])
    for name in path[1:]:
        value = value.get(name) if isinstance(value, dict) else None
    return isinstance(value, list) and wanted in value


def _holds(rule: ClaimRule, claims: Claims, captures: Mapping[str, str]) -> bool:
    value = claim_at(claims, rule.path)
    values = value if isinstance(value, list) else [value]
    accepted = [_expected(wanted, captures) for wanted in rule.accepted]
    return any(_same(one, wanted) for one in values for wanted in accepted)


def _expected(wanted: Scalar | Template, captures: Mapping[str, str]) -> Scalar | None:
    """The value to compare with; `None`, which equals no claim, where the path is no UTF-8."""
    if not isinstance(wanted, Template):
        return wanted
    texts = list(wanted.parts)
    for index in range(1, len(texts), 2):
        decoded = percent_decoded(captures[texts[index]])
        if decoded is None:
            return None
        texts[index] = decoded
    return "".join(texts)


def _same(claim: Any, wanted: Scalar | None) -> bool:
    """Equal with the type: `true` is neither `1` nor `"true"`. JSON has one kind of number (RFC 8259 §6)."""
    if isinstance(claim, bool) or isinstance(wanted, bool):
        return claim is wanted
    if isinstance(claim, str) or isinstance(wanted, str):
        return isinstance(claim, str) and isinstance(wanted, str) and claim == wanted
    return isinstance(claim, int | float) and wanted is not None and claim == wanted
