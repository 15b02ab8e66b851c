"""The permissions that a route demands, judged by the facts, or as questions to the provider (UMA 2.0).

Facts that carry permissions, as a requesting party token does, decide by themselves. Otherwise each scope of a resource
is a question of its own: Keycloak's decision is yes as soon as one of several scopes is granted.

A part of the path goes in decoded. It is the caller's choice, so that it must not change what is asked about: `#` and
`,` part resource and scopes, and a name that begins with `resource-type` asks Keycloak about many resources at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.authn.facts import Claims
from gateway.config.auth_model import PermissionSettings
from gateway.config.claim_paths import Template
from gateway.grants.grant_request import Pairs
from gateway.http.percent import percent_decoded
from gateway.http.refusal import Refusal, challenge

_SEPARATORS = frozenset("#,")
_OF_MANY = "resource-type"
_NAMES = ("rsname", "rsid", "resource_id")
_SCOPES = ("scopes", "resource_scopes")
_DETAIL = "the token lacks a permission that this route asks for"


@dataclass(frozen=True, slots=True)
class Permission:
    """Says which permission is wanted. Without `audience` it is of the gateway's own client at the provider.

    With `is_for_route` the route has its own demand on `aud`, and has judged by it whose token it takes.
    """

    resource: Template | str
    scopes: tuple[str, ...]
    audience: str | None
    is_for_route: bool = False

    def audience_in_facts(self, client_id: str) -> str | None:
        """The resource server that the `aud` of facts with permissions must name; `None`: that is judged already."""
        return None if self.audience is None and self.is_for_route else self.audience_at(client_id)

    def audience_at(self, client_id: str) -> str:
        """The resource server, where `client_id` is the gateway's own client."""
        return client_id if self.audience is None else self.audience


def compile_permissions(
    settings: tuple[PermissionSettings, ...], *, is_for_route: bool = False
) -> tuple[Permission, ...]:
    return tuple(Permission(one.resource, one.scopes, one.audience, is_for_route) for one in settings)


def settle_permissions(
    wanted: tuple[Permission, ...], claims: Claims, captures: Mapping[str, str], client_id: str
) -> tuple[Pairs, ...] | Refusal:
    """The parameters of the questions to ask; none where the facts grant all. A refusal where something is lacking."""
    carried = _carried(claims)
    questions: list[Pairs] = []
    for one in wanted:
        resource = _resource(one.resource, captures)
        if resource is None:
            return _denied("a part of the path cannot be the name of a resource")
        if carried is _NONE:
            questions += _questions(resource, one, client_id)
        elif not _is_of(audience := one.audience_in_facts(client_id), claims):
            return _denied(f"the token's own permissions are of another resource server than {audience}, by their aud")
        elif not _grants(carried, resource, one):
            return _denied(f"the token's own permissions lack {_in_words(resource, one.scopes)}")
    return tuple(questions)


def permission_denied(reason: str) -> Refusal:
    """The refusal where the provider said no."""
    return _denied(reason)


class _Nothing:
    """Says that the facts carry no permissions."""


_NONE = _Nothing()


def _carried(claims: Claims) -> Any:
    if "permissions" in claims:
        return claims["permissions"]
    authorization = claims.get("authorization")
    if isinstance(authorization, dict) and "permissions" in authorization:
        return authorization["permissions"]
    return _NONE


def _resource(resource: Template | str, captures: Mapping[str, str]) -> str | None:
    """The resource with the path's parts in it; `None` where a part would change what is asked about."""
    if isinstance(resource, str):
        return resource
    texts = list(resource.parts)
    for index in range(1, len(texts), 2):
        decoded = percent_decoded(captures[texts[index]])
        if decoded is None or not decoded.isprintable() or not _SEPARATORS.isdisjoint(decoded):
            return None
        texts[index] = decoded
    whole = "".join(texts)
    return None if whole.startswith(_OF_MANY) and not texts[0].startswith(_OF_MANY) else whole


def _questions(resource: str, wanted: Permission, client_id: str) -> Iterator[Pairs]:
    for permission in [f"{resource}#{scope}" for scope in wanted.scopes] or [resource]:
        yield (
            ("audience", wanted.audience_at(client_id)),
            ("permission", permission),
            ("response_mode", "decision"),
        )


def _grants(carried: Any, resource: str, wanted: Permission) -> bool:
    """Whether permissions in the facts grant the resource with all scopes. One without scopes grants all of its own."""
    granted: set[str] = set()
    is_there = False
    for one in carried if isinstance(carried, list) else ():
        if not isinstance(one, dict) or resource not in [one.get(name) for name in _NAMES]:
            continue
        scopes = next((one[name] for name in _SCOPES if name in one), None)
        if scopes is None:
            return True
        is_there = True
        granted.update(scope for scope in scopes if isinstance(scope, str)) if isinstance(scopes, list) else None
    return is_there and granted.issuperset(wanted.scopes)


def _is_of(audience: str | None, claims: Claims) -> bool:
    """Whether the facts are for the resource server that is named. Its `aud` is that client (UMA 2.0 Grant §3.3.5)."""
    if audience is None or "aud" not in claims:
        return True
    named = claims["aud"]
    return audience in named if isinstance(named, list) else audience == named


def _in_words(resource: str, scopes: tuple[str, ...]) -> str:
    return f"{resource}#{','.join(scopes)}" if scopes else resource


def _denied(reason: str) -> Refusal:
    return challenge("forbidden", _DETAIL, reason=reason)
