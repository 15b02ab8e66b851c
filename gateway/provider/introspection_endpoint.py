"""The introspection endpoint (RFC 7662 §2): sends a token and reads what the provider says of it.

An unclear response never becomes a yes or a no. The media type is ignored, because the JSON is read strictly whatever
it is called. The status counts, because an error may carry JSON too. Nothing here bounds the time or the number of
calls: `gateway.provider.introspection_guard` does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.authn.bearer import Token
from gateway.authn.facts import (
    CLAIM_NAMES,
    Facts,
    Inactive,
    Indeterminate,
    read_introspection_result,
)
from gateway.authn.jwt_hint import header_type
from gateway.http import strict_json
from gateway.provider.call import Calls, ProviderResponse
from gateway.provider.client_auth import ClientAuth
from gateway.provider.errors import FailingError, OverloadedError, ProviderError, RejectedError, UnusableResponseError
from gateway.provider.oauth_error import read_oauth_error

_OK = 200
# RFC 7662 §2.3 and RFC 6749 §5.2: our credentials are wrong, or we may not introspect.
_REFUSED_US = frozenset({400, 401, 403})
_BAD_REQUEST = 400
_TOO_MANY = 429
_OVERLOADED = frozenset({502, 503, 504})
# Errors of a 400 that are about us and not about this call (RFC 6749 §5.2).
_OUR_FAULTS = frozenset({"invalid_client", "unauthorized_client"})
# Errors of a 400 that are about the token: oidc-provider responds so to a JWT (RFC 7009 §2.2.1, RFC 6750 §3.1).
_THE_TOKENS_FAULTS = frozenset({"unsupported_token_type", "invalid_token"})


@dataclass(frozen=True, slots=True)
class IntrospectionEndpoint:
    url: str
    calls: Calls
    auth: ClientAuth
    clock: Callable[[], float] = time.time  # seconds since the epoch

    async def introspect(self, token: Token) -> Facts | Inactive:
        """What the provider says of the token at the moment of the call.

        Raises `ProviderError` for a response that cannot be relied on.
        """
        asked_at = self.clock()
        response = await self._post(token)
        if (
            response.status == _BAD_REQUEST
            and (error := read_oauth_error(response.body))
            and error.error in _THE_TOKENS_FAULTS
        ):
            return Inactive(asked_at, f"the provider answered with status 400: {error.redacted(self._secrets(token))}")
        result = read_introspection_result(self._json(response, token), asked_at, header_type(token))
        if isinstance(result, Indeterminate):
            raise UnusableResponseError(result.reason)
        return result

    async def document(self, token: Token) -> Any:
        """The response's JSON value, whatever it says. Raises `ProviderError`."""
        return self._json(await self._post(token), token)

    async def _post(self, token: Token) -> ProviderResponse:
        credentials = self.auth.credentials(self.clock())
        pairs = (("token", token.value), ("token_type_hint", "access_token"), *credentials.pairs)
        return await self.calls.post_introspection(self.url, pairs, credentials.headers)

    def _json(self, response: ProviderResponse, token: Token) -> Any:
        if response.status in _REFUSED_US:
            raise self._refusal(response, token)
        if response.status != _OK:
            raise _error_type(response.status)(
                f"introspection was answered with status {response.status}", response.retry_after_s
            )
        try:
            return strict_json.loads(response.body, pool=CLAIM_NAMES)
        except strict_json.JSONError as error:
            raise UnusableResponseError(
                f"the introspection answer is not JSON that can be relied on: {error}"
            ) from None

    def _refusal(self, response: ProviderResponse, token: Token) -> ProviderError:
        """The error for a provider that refuses our own call. The operator reads the provider's own words in it."""
        error = read_oauth_error(response.body)
        blames_us = response.status != _BAD_REQUEST or (error is not None and error.error in _OUR_FAULTS)
        words = "" if error is None else f" ({error.redacted(self._secrets(token))})"
        return (FailingError if blames_us else RejectedError)(
            f"it refused the gateway's own call with status {response.status}{words}; "
            "check client_id, client_auth and its secret"
        )

    def _secrets(self, token: Token) -> tuple[str, ...]:
        """Texts that must not reach a log. The provider may repeat them in its error."""
        return (token.value, self.auth.secret)


def _error_type(status: int) -> type[UnusableResponseError]:
    if status in _OVERLOADED:
        return OverloadedError
    return FailingError if status == _TOO_MANY or status // 100 == 5 else UnusableResponseError  # noqa: PLR2004 - RFC 9110
