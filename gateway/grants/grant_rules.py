"""What one route asks of token endpoints, compiled once."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config.model import Config
from gateway.config.realms import by_realm
from gateway.config.route_model import Route
from gateway.grants.credential import CredentialRule, compile_credential
from gateway.grants.permission import Permission, compile_permissions


class GrantRules:
    """Holds the permissions to ask for and the credential for the backend; `None`: the caller's, or none.

    `client_ids` are the gateway's own clients by provider.
    """

    __slots__ = ("client_ids", "credential", "permissions")

    def __init__(
        self, permissions: tuple[Permission, ...], credential: CredentialRule | None, client_ids: Mapping[str, str]
    ) -> None:
        self.permissions = permissions
        self.credential = credential
        self.client_ids = client_ids


def compile_grants(route: Route, config: Config) -> GrantRules | None:
    """The rules of a route; `None` for one that asks for nothing."""
    permissions = compile_permissions(route.auth.permissions, is_for_route=bool(route.auth.audience))
    credential = compile_credential(route, config.providers)
    if not permissions and credential is None:
        return None
    client_ids = {name: provider.client_id for name, provider in by_realm(config.providers).items()}
    return GrantRules(permissions, credential, client_ids)
