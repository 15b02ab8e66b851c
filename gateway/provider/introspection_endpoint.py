"""The introspection endpoint (RFC 7662 §2): a token goes out, what the provider says of it comes back.

Never turns what is unclear into a yes or a no. The media type of an answer is not looked at, because its JSON is
read strictly whatever it is called; the status is, because an error may carry JSON too.
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
    IntrospectionResult,
    read_introspection_result,
)
from gateway.authn.jwt_hint import header_type
from gateway.http import strict_json
from gateway.provider.call import Calls, ProviderResponse
from gateway.provider.client_auth import ClientAuth
from gateway.provider.errors import FailingError, OverloadedError, ProviderError, RejectedError, UnusableAnswerError
from gateway.provider.oauth_error import error_words

_OK = 200
# RFC 7662 §2.3 and RFC 6749 §5.2: our credentials are wrong, or we may not introspect.
_REFUSED_US = frozenset({400, 401, 403})
_BAD_REQUEST = 400
_TOO_MANY = 429
_OVERLOADED = frozenset({502, 503, 504})
# What a 400 says that is about us and not about this call (RFC 6749 §5.2).
_OUR_FAULTS = frozenset({"invalid_client", "unauthorized_client"})
# What a 400 says of the token itself: oidc-provider answers so about a JWT (RFC 7009 §2.2.1, RFC 6750 §3.1).
_THE_TOKENS_FAULTS = frozenset({"unsupported_token_type", "invalid_token"})


@dataclass(frozen=True, slots=True)
class IntrospectionEndpoint:
    url: str
    calls: Calls
    auth: ClientAuth
    clock: Callable[[], float] = time.time  # seconds since the epoch

    async def introspect(self, token: Token) -> IntrospectionResult:
        """What the provider says of the token as of the moment it was asked. Raises nothing but `CancelledError`."""
        try:
            return await self.answer(token)
        except ProviderError as error:
            return Indeterminate(error.reason, error.retry_after_s)

    async def answer(self, token: Token) -> Facts | Inactive:
        """The same, where an answer that cannot be relied on is an error. Raises `ProviderError`."""
        asked_at = self.clock()
        reply = await self._ask(token)
        if reply.status == _BAD_REQUEST and (said := error_words(reply.body)) and said.error in _THE_TOKENS_FAULTS:
            return Inactive(asked_at, f"the provider answered with status 400: {said.told(self._hidden(token))}")
        answer = read_introspection_result(self._value(reply, token), asked_at, header_type(token))
        if isinstance(answer, Indeterminate):
            raise UnusableAnswerError(answer.reason)
        return answer

    async def document(self, token: Token) -> Any:
        """The JSON value of the answer, whatever it says. Raises `ProviderError`."""
        return self._value(await self._ask(token), token)

    async def _ask(self, token: Token) -> ProviderResponse:
        credentials = self.auth.credentials(self.clock())
        pairs = (("token", token.value), ("token_type_hint", "access_token"), *credentials.pairs)
        return await self.calls.post_form(self.url, pairs, credentials.headers, replay=True)

    def _value(self, reply: ProviderResponse, token: Token) -> Any:
        if reply.status in _REFUSED_US:
            raise self._refused(reply, token)
        if reply.status != _OK:
            raise _kind_of(reply.status)(f"introspection was answered with status {reply.status}", reply.retry_after_s)
        try:
            return strict_json.loads(reply.body, pool=CLAIM_NAMES)
        except strict_json.JSONError as error:
            raise UnusableAnswerError(f"the introspection answer is no JSON that can be relied on: {error}") from None

    def _refused(self, reply: ProviderResponse, token: Token) -> ProviderError:
        """What it says of us, in its own words where it has some: who runs the gateway is to read them."""
        said = error_words(reply.body)
        blames_us = reply.status != _BAD_REQUEST or (said is not None and said.error in _OUR_FAULTS)
        words = "" if said is None else f" ({said.told(self._hidden(token))})"
        return (FailingError if blames_us else RejectedError)(
            f"it refused the gateway's own call with status {reply.status}{words}; "
            "check client_id, client_auth and its secret"
        )

    def _hidden(self, token: Token) -> tuple[str, ...]:
        """What must not be in a log, should the provider repeat what it was sent."""
        return (token.value, self.auth.secret)


def _kind_of(status: int) -> type[UnusableAnswerError]:
    if status in _OVERLOADED:
        return OverloadedError
    return FailingError if status == _TOO_MANY or status // 100 == 5 else UnusableAnswerError  # noqa: PLR2004 - RFC 9110
