"""The introspection endpoint (RFC 7662 §2): sends a token and reads what the provider says of it.

An unclear response never becomes a yes or a no. The media type is ignored, because the JSON is read strictly whatever
it is called. The status counts, because an error may carry JSON too. Nothing here bounds the time or the number of
calls: `gateway.provider.introspection_guard` does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.authn.bearer import Token
from gateway.authn.claim_places import ClaimPlaces
from gateway.authn.facts import (
    CLAIM_NAMES,
    Facts,
    Inactive,
    Indeterminate,
    read_introspection_result,
)
from gateway.authn.jwt_hint import header_type
from gateway.authn.phantom import usable_phantom, without_phantom
from gateway.http import strict_json
from gateway.provider.call import Calls, ProviderResponse
from gateway.provider.client_auth import ClientAuth, Credentials
from gateway.provider.errors import FailingError, OverloadedError, ProviderError, RejectedError, UnusableResponseError
from gateway.provider.introspection_request import IntrospectionRequest
from gateway.provider.oauth_error import read_oauth_error
from gateway.provider.own_token import OwnToken
from gateway.provider.signed_response import RepeatedResponseError, SignedResponses

_OK = 200
# RFC 7662 §2.3 and RFC 6749 §5.2: our credentials are wrong, or we may not introspect.
_REFUSED_US = frozenset({400, 401, 403})
_BAD_REQUEST = 400
_UNAUTHORIZED = 401
_TOO_MANY = 429
_OVERLOADED = frozenset({502, 503, 504})
# Errors of a 400 that are about us and not about this call (RFC 6749 §5.2).
_OUR_FAULTS = frozenset({"invalid_client", "unauthorized_client"})
# Errors of a 400 that are about the token: oidc-provider responds so to a JWT (RFC 7009 §2.2.1, RFC 6750 §3.1).
_THE_TOKENS_FAULTS = frozenset({"unsupported_token_type", "invalid_token"})


@dataclass(frozen=True, slots=True)
class IntrospectionEndpoint:
    """Asks at `url`. With `own_token` the gateway proves who it is by that token, else by `auth`.

    With `signed` only responses by RFC 9701 count. `objection` is what the provider's metadata says against all that,
    for the operator.
    """

    url: str
    calls: Calls
    auth: ClientAuth
    clock: Callable[[], float] = time.time  # seconds since the epoch
    request: IntrospectionRequest = field(default_factory=IntrospectionRequest)
    own_token: OwnToken | None = None
    signed: SignedResponses | None = None
    objection: str = ""
    places: ClaimPlaces | None = None  # where the provider puts claims, if not where they are looked for

    async def introspect(self, token: Token) -> Facts | Inactive:
        """What the provider says of the token at the moment of the call.

        Raises `ProviderError` for a response that cannot be relied on.
        """
        asked_at = self.clock()
        if self.signed is not None:
            return self._read(*await self._signed_document(token), asked_at, token)
        response = await self._post(token)
        if (
            response.status == _BAD_REQUEST
            and (error := read_oauth_error(response.body))
            and error.error in _THE_TOKENS_FAULTS
        ):
            return Inactive(asked_at, f"the provider answered with status 400: {error.redacted(self._secrets(token))}")
        document = self._json(response, token)
        if self.request.wants_phantom and isinstance(document, dict):
            return self._read(*without_phantom(document), asked_at, token)
        return self._read(document, None, asked_at, token)

    async def document(self, token: Token) -> Any:
        """The response's JSON value, whatever it says. Raises `ProviderError`."""
        if self.signed is not None:
            return (await self._signed_document(token))[0]
        return self._json(await self._post(token), token)

    async def _signed_document(self, token: Token) -> tuple[Mapping[str, Any], str]:
        """The result in a response by RFC 9701, and the response itself. Raises `ProviderError`."""
        try:
            return await self._signed_once(token)
        except RepeatedResponseError:
            now = self.clock()
            await asyncio.sleep(1.0 - now % 1.0)  # `iat` counts seconds
            return await self._signed_once(token)

    async def _signed_once(self, token: Token) -> tuple[Mapping[str, Any], str]:
        assert self.signed is not None
        asked_at = self.clock()
        response = await self._post(token)
        self._check_status(response, token)
        return await self.signed.read(response.body, token, asked_at, self.clock()), response.body.decode().strip()

    async def _post(self, token: Token) -> ProviderResponse:
        if self.own_token is None:
            return await self._post_with(self.auth.credentials(self.clock()), token)
        own = await self.own_token.get()
        response = await self._post_with(_bearer(own), token)
        if response.status != _UNAUTHORIZED or (other := await self.own_token.after_refusal(own)) is None:
            return response
        return await self._post_with(_bearer(other), token)

    async def _post_with(self, credentials: Credentials, token: Token) -> ProviderResponse:
        pairs, fields = self.request.pairs(token, credentials), self.request.fields(credentials)
        return await self.calls.post_introspection(self.url, pairs, fields)

    def _json(self, response: ProviderResponse, token: Token) -> Any:
        self._check_status(response, token)
        try:
            return strict_json.loads(response.body, pool=CLAIM_NAMES)
        except strict_json.JSONError as error:
            raise UnusableResponseError(
                f"the introspection answer is not JSON that can be relied on: {error}"
            ) from None

    def _check_status(self, response: ProviderResponse, token: Token) -> None:
        if response.status in _REFUSED_US:
            raise self._refusal(response, token)
        if response.status != _OK:
            raise _error_type(response.status)(
                f"introspection was answered with status {response.status}", response.retry_after_s
            )

    def _refusal(self, response: ProviderResponse, token: Token) -> ProviderError:
        """The error for a provider that refuses our own call. The operator reads the provider's own words in it."""
        error = read_oauth_error(response.body)
        blames_us = response.status != _BAD_REQUEST or (error is not None and error.error in _OUR_FAULTS)
        words = "" if error is None else f" ({error.redacted(self._secrets(token))})"
        return (FailingError if blames_us else RejectedError)(
            f"it refused the gateway's own call with status {response.status}{words}; "
            f"check client_id, client_auth and its secret{self.objection and f'; {self.objection}'}"
        )

    def _read(self, document: object, phantom: str | None, asked_at: float, token: Token) -> Facts | Inactive:
        if self.places is not None and isinstance(document, dict):
            document = self.places.placed(document)
        result = read_introspection_result(document, asked_at, header_type(token))
        if isinstance(result, Indeterminate):
            raise UnusableResponseError(result.reason)
        if phantom is None or isinstance(result, Inactive):
            return result
        return Facts(result.claims, asked_at, result.exp, result.nbf, result.scopes, usable_phantom(phantom))

    def _secrets(self, token: Token) -> tuple[str, ...]:
        """Texts that must not reach a log. The provider may repeat them in its error."""
        return (token.value, self.auth.secret, *self.request.secrets)


def _bearer(own: str) -> Credentials:
    return Credentials(headers=(("Authorization", f"Bearer {own}"),))


def _error_type(status: int) -> type[UnusableResponseError]:
    if status in _OVERLOADED:
        return OverloadedError
    return FailingError if status == _TOO_MANY or status // 100 == 5 else UnusableResponseError  # noqa: PLR2004 - RFC 9110
