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
from gateway.authn.facts import Answer, Unclear, read_answer
from gateway.http import strict_json
from gateway.provider.call import Calls, Reply
from gateway.provider.client_auth import ClientAuth
from gateway.provider.errors import ProviderError, UnusableAnswerError

_OK = 200
# RFC 7662 §2.3 and RFC 6749 §5.2: our credentials are wrong, or we may not introspect.
_REFUSED_US = frozenset({400, 401, 403})


@dataclass(frozen=True, slots=True)
class IntrospectionEndpoint:
    url: str
    calls: Calls
    auth: ClientAuth
    clock: Callable[[], float] = time.time  # seconds since the epoch

    async def introspect(self, token: Token) -> Answer:
        """What the provider says of the token as of the moment it was asked. Raises nothing but `CancelledError`."""
        asked_at = self.clock()
        try:
            document = await self.document(token)
        except ProviderError as error:
            return Unclear(error.reason, error.retry_after_s)
        return read_answer(document, asked_at)

    async def document(self, token: Token) -> Any:
        """The JSON value of the answer, whatever it says. Raises `ProviderError`."""
        credentials = self.auth.credentials(self.clock())
        pairs = (("token", token.value), ("token_type_hint", "access_token"), *credentials.pairs)
        reply = await self.calls.post_form(self.url, pairs, credentials.headers, replay=True)
        return _value(reply)


def _value(reply: Reply) -> Any:
    if reply.status in _REFUSED_US:
        raise UnusableAnswerError(
            f"it refused the gateway's own call with status {reply.status}; check client_id, client_auth and its secret"
        )
    if reply.status != _OK:
        raise UnusableAnswerError(f"introspection was answered with status {reply.status}", reply.retry_after_s)
    try:
        return strict_json.loads(reply.body)
    except strict_json.JSONError as error:
        raise UnusableAnswerError(f"the introspection answer is no JSON that can be relied on: {error}") from None
