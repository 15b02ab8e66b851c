"""How one provider is asked, put together from its configuration: for the gateway's work and for `gateway doctor`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.authn.claim_places import claim_places
from gateway.config.provider_model import Provider
from gateway.provider.call import Calls
from gateway.provider.client_auth import ClientAuth
from gateway.provider.introspection_endpoint import IntrospectionEndpoint
from gateway.provider.introspection_request import introspection_request
from gateway.provider.own_token import OwnToken
from gateway.provider.signed_response import SignedResponses
from gateway.provider.signing_keys import SigningKeys


class Questioning:
    """Keeps what outlives one question: the gateway's own token, and the signed responses that have come.

    `fetch_own_token` requests a token by client credentials. Raises `ValueError` for a configuration that cannot be
    asked as it says.
    """

    def __init__(
        self,
        config: Provider,
        calls: Calls,
        auth: ClientAuth,
        keys: SigningKeys,
        fetch_own_token: Callable[[], Awaitable[Mapping[str, Any]]],
        clock: Callable[[], float],
    ) -> None:
        self._calls = calls
        self._auth = auth
        self._clock = clock
        self._request = introspection_request(config.introspection)
        self._own_token = OwnToken(fetch_own_token) if config.introspection.auth == "bearer" else None
        self._signed = _signed_responses(config, keys)
        self._places = claim_places(config.claims)

    def endpoint(self, url: str, objection: str = "") -> IntrospectionEndpoint:
        """The endpoint at `url`. `objection` is what the provider's metadata says against how it is asked."""
        return IntrospectionEndpoint(
            url,
            self._calls,
            self._auth,
            self._clock,
            self._request,
            self._own_token,
            self._signed,
            objection,
            self._places,
        )

    async def close(self) -> None:
        if self._own_token is not None:
            await self._own_token.close()


def _signed_responses(config: Provider, keys: SigningKeys) -> SignedResponses | None:
    """What reads responses by RFC 9701; `None` where they are not asked for."""
    if config.introspection.accept != "jwt":
        return None
    if config.issuer is None:
        raise ValueError("introspection.accept: jwt needs the issuer; write issuer: https://…")
    return SignedResponses.of(config.issuer, config.client_id, keys, config.algorithms, config.leeway)
