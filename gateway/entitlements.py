"""Checks a route's demands beside scopes: roles, groups, rich authorization details (RFC 9396) and claims. Pure.

Comparisons are exact and typed: a claim of the wrong type does not meet a demand. Roles are looked for in the two
places where Keycloak puts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.authn.claims import claim_at
from gateway.authn.facts import Claims
from gateway.config.auth_model import Auth
from gateway.config.claim_paths import ClaimRule, Scalar, Template
from gateway.http.percent import percent_decoded
from gateway.http.refusal import Refusal, challenge
from gateway.policy_reasons import missing_details, missing_groups, missing_roles, wrong_claim

_REALM_ROLES = ("realm_access", "roles")
_GROUPS = ("groups",)
_DETAILS = ("authorization_details",)


@dataclass(frozen=True, slots=True)
class Entitlements:
    """Holds the demands of one route; a caller must meet all. Each object in `details` must be in one claim element."""

    roles: tuple[str, ...]
    groups: tuple[str, ...]
    details: tuple[Mapping[str, Any], ...]
    claims: tuple[ClaimRule, ...]


def compile_entitlements(auth: Auth) -> Entitlements | None:
    """Collect the demands of a route; `None` where it has none of these."""
    demands = Entitlements(auth.roles, auth.groups, auth.details, auth.claims)
    return demands if any((demands.roles, demands.groups, demands.details, demands.claims)) else None


def entitlement_problem(
    demands: Entitlements, claims: Claims, client_id: str, captures: Mapping[str, str]
) -> Refusal | None:
    """The refusal of a caller with these claims, if any. Roles without a client's name may be of `client_id`."""
    if not all(_has_role(claims, role, client_id) for role in demands.roles):
        return _lacks_role(claims, demands.roles, client_id)
    present = _list_at(claims, _GROUPS)
    if missing := [group for group in demands.groups if group not in present]:
        reason = missing_groups(map(str, present), missing)
        return challenge("forbidden", "the token lacks a group that this route asks for", reason=reason)
    return _details_problem(demands.details, claims) or _claim_problem(demands.claims, claims, captures)


def _details_problem(wanted: tuple[Mapping[str, Any], ...], claims: Claims) -> Refusal | None:
    """Check that each wanted object is contained in one element of `authorization_details` (RFC 9396 §2)."""
    present = _list_at(claims, _DETAILS)
    for detail in wanted:
        if not any(isinstance(one, dict) and _is_within(detail, one) for one in present):
            reason = missing_details(present, detail)
            return challenge("forbidden", "the token lacks an authorization that this route asks for", reason=reason)
    return None


def _is_within(wanted: Any, present: Any) -> bool:
    """Whether `present` contains `wanted`: a list as a subset, an object with its members, a scalar with its type."""
    if isinstance(wanted, dict):
        return isinstance(present, dict) and all(
            name in present and _is_within(value, present[name]) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(present, list) and all(any(_is_within(one, other) for other in present) for one in wanted)
    return (wanted is None and present is None) or _is_equal(present, wanted)


def _claim_problem(rules: tuple[ClaimRule, ...], claims: Claims, captures: Mapping[str, str]) -> Refusal | None:
    for rule in rules:
        if not _holds(rule, claims, captures):
            reason = wrong_claim(rule.path, claim_at(claims, rule.path), _accepted(rule, captures))
            return challenge("forbidden", "a claim of the token is not what this route asks for", reason=reason)
    return None


def _lacks_role(claims: Claims, wanted: tuple[str, ...], client_id: str) -> Refusal:
    missing = [role for role in wanted if not _has_role(claims, role, client_id)]
    present = [*_list_at(claims, _REALM_ROLES), *_list_at(claims, ("resource_access", client_id, "roles"))]
    for client in {role.partition(":")[0] for role in wanted if ":" in role}:
        present += [f"{client}:{role}" for role in _list_at(claims, ("resource_access", client, "roles"))]
    reason = missing_roles(map(str, present), missing, wanted)
    return challenge("forbidden", "the token lacks a role that this route asks for", reason=reason)


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
