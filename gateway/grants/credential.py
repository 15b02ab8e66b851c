"""The credential that a route's backend gets in the place of the caller's token.

What is asked for does not vary between callers, so that it is made once per route and provider.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config.credential_model import BackendCredential, ExchangeSettings
from gateway.config.provider_model import Provider
from gateway.config.realms import by_realm, entry_name, names_by_realm
from gateway.config.route_model import Route
from gateway.grants.grant_request import GrantParameters


class CredentialRule:
    """Holds what is asked for, by the provider that the caller's facts are from, or whoever calls.

    With neither it is the phantom, for which nobody is asked.
    """

    __slots__ = ("for_all", "of_callers")

    def __init__(
        self, of_callers: Mapping[str, GrantParameters] | None = None, for_all: GrantParameters | None = None
    ) -> None:
        self.of_callers = of_callers
        self.for_all = for_all


def compile_credential(route: Route, providers: Mapping[str, Provider]) -> CredentialRule | None:
    """The rule of a route; `None` for `strip` and `keep`. `providers` are all of the configuration.

    Where the provider that is named has realms, it is the caller's realm, or else the first one.
    """
    credential = route.authorization
    if not isinstance(credential, BackendCredential):
        return None
    names = tuple(by_realm(providers))
    if credential.exchange is not None:
        pairs = _exchange_pairs(credential.exchange)
        named = credential.exchange.provider
        return CredentialRule(
            {name: GrantParameters("exchange", _asked(named, name, providers), pairs) for name in names}
        )
    if credential.client_credentials is not None:
        settings = credential.client_credentials
        asked = names_by_realm((settings.provider,), providers)[0] if settings.provider is not None else names[0]
        return CredentialRule(for_all=GrantParameters("client", asked, _scope(settings.scopes)))
    return CredentialRule()


def _asked(named: str | None, of_caller: str, providers: Mapping[str, Provider]) -> str:
    if named is None or named == entry_name(of_caller):
        return of_caller
    return names_by_realm((named,), providers)[0]


def _exchange_pairs(exchange: ExchangeSettings) -> tuple[tuple[str, str], ...]:
    """Parameters of RFC 8693 §2.1, but for the subject."""
    wanted = exchange.requested_token_type
    return (
        *(("audience", name) for name in exchange.audience),
        *(("resource", uri) for uri in exchange.resource),
        *_scope(exchange.scopes),
        *((("requested_token_type", wanted),) if wanted is not None else ()),
    )


def _scope(scopes: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return (("scope", " ".join(scopes)),) if scopes else ()
