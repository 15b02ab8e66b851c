"""The token endpoint (RFC 6749 §3.2): sends a grant and reads tokens or a clear refusal."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.http import strict_json
from gateway.http.syntax import SCOPE_CHARS
from gateway.provider.call import Calls, ProviderResponse
from gateway.provider.client_auth import ClientAuth
from gateway.provider.errors import ProviderError, TokenRefused, UnusableResponseError
from gateway.provider.grants import Grant

_OK = 200
_TOO_MANY = 429
# RFC 6749 §5.2 fixes the characters of both members; the lengths are ours, because they end up in a terminal.
_ERROR = re.compile(rf"[ {SCOPE_CHARS}]{{1,100}}")
_DESCRIPTION = re.compile(rf"[ {SCOPE_CHARS}]{{1,500}}")


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    url: str
    calls: Calls
    auth: ClientAuth
    clock: Callable[[], float] = time.time  # seconds since the epoch

    async def request_token(self, grant: Grant, scope: str | None = None) -> dict[str, Any]:
        """The response's JSON object, which holds an access token (RFC 6749 §5.1).

        The grant is sent once at most (see `gateway.provider.call`). Raises `TokenRefused` when the provider says no,
        and `ProviderError` when its response cannot be relied on.
        """
        credentials = self.auth.credentials(self.clock())
        asked_scope = (("scope", scope),) if scope else ()
        pairs = (*grant.pairs(), *asked_scope, *credentials.pairs)
        response = await self.calls.post_grant(self.url, pairs, credentials.headers)
        if response.status == _OK:
            return _tokens(response)
        raise _refusal(response)


def _tokens(response: ProviderResponse) -> dict[str, Any]:
    document = _json(response)
    if not isinstance(document, dict) or not all(
        isinstance(document.get(name), str) and document[name] for name in ("access_token", "token_type")
    ):
        raise UnusableResponseError("the token endpoint's answer holds no access_token with its token_type")
    return document


def _refusal(response: ProviderResponse) -> TokenRefused | ProviderError:
    unusable = UnusableResponseError(
        f"the token endpoint answered with status {response.status}", response.retry_after_s
    )
    if response.status // 100 != 4 or response.status == _TOO_MANY:  # noqa: PLR2004 - RFC 9110 §15.5
        return unusable
    try:
        document = _json(response)
    except UnusableResponseError:
        return unusable
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, str) or not _ERROR.fullmatch(error):
        return unusable
    description = document.get("error_description")
    clean = isinstance(description, str) and _DESCRIPTION.fullmatch(description)
    return TokenRefused(error, description if clean else None, response.status)


def _json(response: ProviderResponse) -> Any:
    try:
        return strict_json.loads(response.body)
    except strict_json.JSONError as error:
        raise UnusableResponseError(f"the token endpoint's answer is not JSON that can be relied on: {error}") from None
