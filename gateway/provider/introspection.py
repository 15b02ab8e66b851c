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
from gateway.authn.facts import Answer, Facts, Inactive, Unclear, read_answer
from gateway.http import strict_json
from gateway.provider.call import Calls, Reply
from gateway.provider.client_auth import ClientAuth
from gateway.provider.errors import FailingError, OverloadedError, ProviderError, RejectedError, UnusableAnswerError

_OK = 200
# RFC 7662 §2.3 and RFC 6749 §5.2: our credentials are wrong, or we may not introspect.
_REFUSED_US = frozenset({400, 401, 403})
_BAD_REQUEST = 400
_TOO_MANY = 429
_OVERLOADED = frozenset({502, 503, 504})
# What a 400 says that is about us and not about this call (RFC 6749 §5.2).
_OUR_FAULTS = frozenset({"invalid_client", "unauthorized_client"})


@dataclass(frozen=True, slots=True)
class IntrospectionEndpoint:
    url: str
    calls: Calls
    auth: ClientAuth
    clock: Callable[[], float] = time.time  # seconds since the epoch

    async def introspect(self, token: Token) -> Answer:
        """What the provider says of the token as of the moment it was asked. Raises nothing but `CancelledError`."""
        try:
            return await self.answer(token)
        except ProviderError as error:
            return Unclear(error.reason, error.retry_after_s)

    async def answer(self, token: Token) -> Facts | Inactive:
        """The same, where an answer that cannot be relied on is an error. Raises `ProviderError`."""
        asked_at = self.clock()
        answer = read_answer(await self.document(token), asked_at)
        if isinstance(answer, Unclear):
            raise UnusableAnswerError(answer.reason)
        return answer

    async def document(self, token: Token) -> Any:
        """The JSON value of the answer, whatever it says. Raises `ProviderError`."""
        credentials = self.auth.credentials(self.clock())
        pairs = (("token", token.value), ("token_type_hint", "access_token"), *credentials.pairs)
        reply = await self.calls.post_form(self.url, pairs, credentials.headers, replay=True)
        return _value(reply)


def _value(reply: Reply) -> Any:
    if reply.status in _REFUSED_US:
        kind = RejectedError if reply.status == _BAD_REQUEST and not _blames_us(reply) else FailingError
        raise kind(
            f"it refused the gateway's own call with status {reply.status}; check client_id, client_auth and its secret"
        )
    if reply.status != _OK:
        raise _kind_of(reply.status)(f"introspection was answered with status {reply.status}", reply.retry_after_s)
    try:
        return strict_json.loads(reply.body)
    except strict_json.JSONError as error:
        raise UnusableAnswerError(f"the introspection answer is no JSON that can be relied on: {error}") from None


def _kind_of(status: int) -> type[UnusableAnswerError]:
    if status in _OVERLOADED:
        return OverloadedError
    return FailingError if status == _TOO_MANY or status // 100 == 5 else UnusableAnswerError  # noqa: PLR2004 - RFC 9110


def _blames_us(reply: Reply) -> bool:
    try:
        document = strict_json.loads(reply.body)
    except strict_json.JSONError:
        return False
    error = document.get("error") if isinstance(document, dict) else None
    return isinstance(error, str) and error in _OUR_FAULTS
