"""The token endpoint (RFC 6749 §3.2): a grant goes out, tokens or a clear refusal come back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.http import strict_json
from gateway.provider.call import Calls, ProviderResponse
from gateway.provider.client_auth import ClientAuth
from gateway.provider.errors import ProviderError, TokenRefused, UnusableAnswerError
from gateway.provider.grants import Grant

_OK = 200
_TOO_MANY = 429
# RFC 6749 §5.2 fixes the characters of both members; the lengths are ours, because they end up in a terminal.
_ERROR = re.compile(r"[ !#-\[\]-~]{1,100}")
_DESCRIPTION = re.compile(r"[ !#-\[\]-~]{1,500}")


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    url: str
    calls: Calls
    auth: ClientAuth
    clock: Callable[[], float] = time.time  # seconds since the epoch

    async def request_token(self, grant: Grant, scope: str | None = None) -> dict[str, Any]:
        """The answer's JSON object, which holds an access token (RFC 6749 §5.1).

        Sent once at most (see `gateway.provider.call`). Raises `TokenRefused` when the provider says no, and
        `ProviderError` when its answer is none to rely on.
        """
        credentials = self.auth.credentials(self.clock())
        asked_scope = (("scope", scope),) if scope else ()
        pairs = (*grant.pairs(), *asked_scope, *credentials.pairs)
        reply = await self.calls.post_form(self.url, pairs, credentials.headers, replay=False)
        if reply.status == _OK:
            return _tokens(reply)
        raise _refusal(reply)


def _tokens(reply: ProviderResponse) -> dict[str, Any]:
    document = _value(reply)
    if not isinstance(document, dict) or not all(
        isinstance(document.get(name), str) and document[name] for name in ("access_token", "token_type")
    ):
        raise UnusableAnswerError("the token endpoint's answer holds no access_token with its token_type")
    return document


def _refusal(reply: ProviderResponse) -> TokenRefused | ProviderError:
    unclear = UnusableAnswerError(f"the token endpoint answered with status {reply.status}", reply.retry_after_s)
    if reply.status // 100 != 4 or reply.status == _TOO_MANY:  # noqa: PLR2004 - RFC 9110 §15.5
        return unclear
    try:
        document = _value(reply)
    except UnusableAnswerError:
        return unclear
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, str) or not _ERROR.fullmatch(error):
        return unclear
    description = document.get("error_description")
    clean = isinstance(description, str) and _DESCRIPTION.fullmatch(description)
    return TokenRefused(error, description if clean else None, reply.status)


def _value(reply: ProviderResponse) -> Any:
    try:
        return strict_json.loads(reply.body)
    except strict_json.JSONError as error:
        raise UnusableAnswerError(f"the token endpoint's answer is no JSON that can be relied on: {error}") from None
