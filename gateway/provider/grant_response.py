"""Reads the token endpoint's response to a grant: yes, no, or an error where neither can be relied on.

A no is about the caller or about what was asked for. Whatever is about the gateway's own client is not a no: it says
nothing of the caller. RFC 8693 §2.2, RFC 6749 §5, UMA 2.0 Grant §3.3.6 (in Keycloak's form, `response_mode=decision`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from gateway.authn.bearer import TOKEN_MAX_CHARS, Token
from gateway.authn.jwt_hint import unverified_end
from gateway.grants.grant_request import GrantRequest, Kind
from gateway.grants.obtained import Denied, Granted, Verdict
from gateway.http import strict_json
from gateway.http.syntax import B64TOKEN
from gateway.provider.call import ProviderResponse
from gateway.provider.errors import FailingError, OverloadedError, ProviderError, RejectedError, UnusableResponseError
from gateway.provider.grants import ACCESS_TOKEN_TYPE, JWT_TYPE, REFRESH_TOKEN_TYPE, REQUESTED_TYPE
from gateway.provider.oauth_error import OAuthError, read_oauth_error

_OK = 200
_NO_STATUSES = frozenset({400, 403})
_NO: dict[Kind, frozenset[str]] = {
    "exchange": frozenset({"invalid_grant", "invalid_target", "invalid_scope", "access_denied", "invalid_request"}),
    "permission": frozenset({"access_denied", "invalid_resource", "invalid_scope"}),
    "client": frozenset(),  # nobody but the gateway's own client can be meant
}
# RFC 6749 §5.2 gives 401 for our client. Of a caller's Bearer it is this (RFC 6750 §3.1).
_THE_TOKENS_FAULTS = frozenset({"invalid_token", "invalid_grant"})
_OVERLOADED = frozenset({502, 503, 504})
_REFUSED_US = frozenset({401, 403})
_TOO_MANY = 429
_B64TOKEN = re.compile(B64TOKEN)


def read_grant(grant: GrantRequest, response: ProviderResponse, client_id: str, hidden: Iterable[str]) -> Verdict:
    """The verdict. Raises `ProviderError`, whose text names our client and none of `hidden`."""
    kind = grant.asked.kind
    if response.status == _OK:
        document = _json(response)
        return _permission(document) if kind == "permission" else _token(document, grant)
    error = read_oauth_error(response.body)
    if error is not None and response.status in _NO_STATUSES and error.error in _NO[kind]:
        return Denied(f"the provider answered with status {response.status}: {error.redacted(hidden)}")
    raise _failure(response, error, client_id, hidden)


def _permission(document: Any) -> Verdict:
    match document:
        case {"result": True}:
            return Granted()
        case {"result": False}:
            return Denied("the provider's decision is false")
    raise UnusableResponseError("the token endpoint's answer about a permission holds no result")


def _token(document: Any, grant: GrantRequest) -> Verdict:
    """The token, which is sent on as `Authorization: Bearer`, so that it must be one by its type and its characters.

    Whoever configures an exchange relies on it that the caller's own token stays here.
    """
    if not isinstance(document, dict):
        raise UnusableResponseError("the token endpoint's answer is not an object")
    token, token_type = document.get("access_token"), document.get("token_type")
    if not isinstance(token, str) or len(token) > TOKEN_MAX_CHARS or not _B64TOKEN.fullmatch(token):
        raise UnusableResponseError("the token endpoint's answer holds no access_token that a header can carry")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        raise UnusableResponseError("the token endpoint's token is not of token_type Bearer")
    if grant.asked.kind == "exchange" and not _may_be_sent_on(document.get("issued_token_type"), grant):
        raise UnusableResponseError("the token endpoint's token is no access token, by its issued_token_type")
    if grant.caller is not None and token == grant.caller.value:
        raise UnusableResponseError("the token endpoint gave the caller's own token back")
    return Granted(token, _life_s(document.get("expires_in")), unverified_end(Token(token)))


def _may_be_sent_on(issued: object, grant: GrantRequest) -> bool:
    """Whether a token of this type may go to a backend (RFC 8693 §2.2.1). Not every provider names the type.

    A refresh token, which some call Bearer too, would let the backend have tokens made of it.
    """
    if issued is None:
        return True
    wanted = [value for name, value in grant.asked.pairs if name == REQUESTED_TYPE]
    return issued in [ACCESS_TOKEN_TYPE, JWT_TYPE, *wanted] and issued != REFRESH_TOKEN_TYPE


def _life_s(expires_in: object) -> float | None:
    if expires_in is None:
        return None
    if isinstance(expires_in, int | float) and not isinstance(expires_in, bool):
        # Of whole numbers JSON has greater ones than a float can hold, so that the least is taken first.
        if expires_in > 0:
            return float(min(expires_in, 2**31))
        raise UnusableResponseError("the token endpoint's token has ended already by its expires_in")
    raise UnusableResponseError("the token endpoint's expires_in is not a number")


def _failure(
    response: ProviderResponse, error: OAuthError | None, client_id: str, hidden: Iterable[str]
) -> ProviderError:
    words = "" if error is None else f" ({error.redacted(hidden)})"
    what = f"the token endpoint answered the gateway's client {client_id} with status {response.status}{words}"
    return _error_type(response.status, error)(what, response.retry_after_s)


def _error_type(status: int, error: OAuthError | None) -> type[UnusableResponseError]:
    if status in _OVERLOADED:
        return OverloadedError
    if status == _TOO_MANY or status // 100 == 5:  # noqa: PLR2004 - RFC 9110 §15.6
        return FailingError
    if status in _REFUSED_US and not (error is not None and error.error in _THE_TOKENS_FAULTS):
        return FailingError
    if error is not None and error.error == "invalid_client":
        return FailingError
    return RejectedError if error is not None else UnusableResponseError


def _json(response: ProviderResponse) -> Any:
    try:
        return strict_json.loads(response.body)
    except strict_json.JSONError as error:
        raise UnusableResponseError(f"the token endpoint's answer is not JSON that can be relied on: {error}") from None
