"""The demo provider's token endpoint: it checks the client, the grant and the scopes (RFC 6749 §4, RFC 8693)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_plus

from gateway.demo.realm import CLIENTS, USERS, Client, User
from gateway.demo.tokens import Tokens

_ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a type
_TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - the name of a grant

Form = Mapping[str, str]


class TokenRefusal(Exception):  # noqa: N818 - a response of the protocol (RFC 6749 §5.2)
    """Refuses a token request, with the status and the document of the response."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(error)
        self.status = status
        self.document = {"error": error, "error_description": description}


def client_of(authorization: str | None, form: Form) -> Client:
    """The client that a request authenticates (RFC 6749 §2.3.1), or the public client that it names."""
    client_id, secret = _basic(authorization) or (
        form.get("client_id", ""),
        form.get("client_secret", ""),
    )
    client = CLIENTS.get(client_id)
    proven = client is not None and (
        client.secret is None or hmac.compare_digest(client.secret.encode(), secret.encode())
    )
    if client is None or not proven:
        raise TokenRefusal(401, "invalid_client", "Invalid client or Invalid client credentials")
    return client


def _basic(header: str | None) -> tuple[str, str] | None:
    if header is None or not header.startswith("Basic "):
        return None
    try:
        client_id, _, secret = base64.b64decode(header.removeprefix("Basic "), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(client_id), unquote_plus(secret)


def confidential(client: Client) -> None:
    if client.secret is None:
        raise TokenRefusal(403, "access_denied", "Client not allowed")


def _scopes(user: User, form: Form) -> set[str]:
    """The requested scopes, or by default all that the user can have (RFC 6749 §3.3)."""
    asked = set(form.get("scope", "").split()) - {"openid"}
    if asked - set(user.allowed_scopes):
        raise TokenRefusal(400, "invalid_scope", f"Invalid scopes: {form['scope']}")
    return asked or set(user.allowed_scopes)


def _client_credentials(tokens: Tokens, client: Client, form: Form) -> dict[str, Any]:
    if client.account is None:
        raise TokenRefusal(401, "unauthorized_client", "Client not enabled to retrieve service account")
    return tokens.issue(client, client.account, _scopes(client.account, form), refreshable=False)


def _password(tokens: Tokens, client: Client, form: Form) -> dict[str, Any]:
    user = USERS.get(form.get("username", ""))
    if user is None or user.password != form.get("password"):
        raise TokenRefusal(401, "invalid_grant", "Invalid user credentials")
    return tokens.issue(client, user, _scopes(user, form))


def _refresh(tokens: Tokens, client: Client, form: Form) -> dict[str, Any]:
    claims = tokens.claims(form.get("refresh_token", ""))
    if claims is None or claims["typ"] != "Refresh" or claims["azp"] != client.client_id:
        raise TokenRefusal(400, "invalid_grant", "Invalid refresh token")
    granted = set(claims["scope"].split())
    asked = set(form.get("scope", "").split()) or granted
    if asked - granted:
        raise TokenRefusal(400, "invalid_scope", "Client no longer has requested scope")
    return tokens.issue(client, _user(claims["sub"]), asked, session=claims["sid"])


def _exchange(tokens: Tokens, client: Client, form: Form) -> dict[str, Any]:
    confidential(client)
    claims = tokens.claims(form.get("subject_token", ""))
    if claims is None or claims["typ"] != "Bearer" or form.get("subject_token_type") != _ACCESS_TOKEN_TYPE:
        raise TokenRefusal(400, "invalid_request", "Invalid token")
    granted = set(claims["scope"].split())
    scopes = set(form.get("scope", "").split()) or granted
    if scopes - granted:
        raise TokenRefusal(400, "invalid_scope", "Requested scope is wider than the subject token's")
    audience = (form["audience"],) if form.get("audience") else tuple(claims["aud"])
    user = _user(claims["sub"])
    answer = tokens.issue(client, user, scopes, session=claims["sid"], audience=audience, refreshable=False)
    return {**answer, "issued_token_type": _ACCESS_TOKEN_TYPE}


def _user(user_id: str) -> User:
    accounts = (client.account for client in CLIENTS.values() if client.account is not None)
    return next(user for user in (*USERS.values(), *accounts) if user.id == user_id)


GRANTS: dict[str, Callable[[Tokens, Client, Form], dict[str, Any]]] = {
    "client_credentials": _client_credentials,
    "password": _password,
    "refresh_token": _refresh,
    _TOKEN_EXCHANGE: _exchange,
}
