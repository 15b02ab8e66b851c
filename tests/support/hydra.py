"""Ory Hydra on loopback, with its database in memory. It leaves login, consent and logout to others: to this, here.

`HYDRA` names the program; CONTRIBUTING says how to build it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import aiohttp
import jwt
import pytest
from support.foreign_provider import REDIRECT, Command, Tokens, WithLoginPage, browser
from support.redis_server import free_port

# Where Hydra sends browsers; nobody listens there.
PAGES = "https://login.example"
CLIENTS = ("app", "doomed", "gateway")


@dataclass
class Hydra(WithLoginPage):
    admin_port: int = field(default_factory=free_port)

    authorization: ClassVar = "/oauth2/auth"
    paths: ClassVar = {
        "token": "/oauth2/token",
        "introspection": "/admin/oauth2/introspect",
        "revocation": "/oauth2/revoke",
    }

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def issuer(self) -> str:
        """With a slash at its end, as Hydra's own documents write it."""
        return f"{self.url}/"

    def command(self) -> Command:
        program = os.environ.get("HYDRA", "")
        if not Path(program).is_file():
            pytest.skip("HYDRA names no program")
        return [program, "serve", "all", "--dev"], {
            "DSN": "memory",
            "SECRETS_SYSTEM": "secret-of-the-system-of-hydra",
            "URLS_SELF_ISSUER": self.issuer,
            **{f"URLS_{page.upper()}": f"{PAGES}/{page}" for page in ("login", "consent", "logout")},
            "URLS_POST_LOGOUT_REDIRECT": f"{PAGES}/out",
            "SERVE_PUBLIC_PORT": str(self.port),
            "SERVE_PUBLIC_HOST": "127.0.0.1",
            "SERVE_ADMIN_PORT": str(self.admin_port),
            "SERVE_ADMIN_HOST": "127.0.0.1",
            "SQA_OPT_OUT": "true",
        }

    def settings(self) -> dict[str, Any]:
        endpoint = f"{self.admin_url}{self.paths['introspection']}"
        more = {"issuer": self.issuer, "introspection_endpoint": endpoint, "events": {"audience": "app"}}
        return {**super().settings(), **more}

    def place(self, end: str) -> str:
        return f"{self.admin_url if end == 'introspection' else self.url}{self.paths[end]}"

    async def act(self, act: str, token: str) -> None:
        """By its admin interface, and about whom or what the token is of."""
        said = await self._post("introspection", "gateway", {"token": token})
        subject, client = {"subject": said["sub"]}, said["client_id"]
        match act:
            case "end-logins-of-user":
                await self.ask("DELETE", "/admin/oauth2/auth/sessions/login", **subject)
            case "revoke-consents-of-user":
                await self.ask("DELETE", "/admin/oauth2/auth/sessions/consent", **subject, all="true")
            case "remove-tokens-of-client":
                await self.ask("DELETE", "/admin/oauth2/tokens", client_id=client)
            case "remove-client":
                await self.ask("DELETE", f"/admin/clients/{client}")

    async def prepare(self) -> None:
        """Its clients, once."""
        for client in CLIENTS:
            document = {
                "client_id": client,
                "client_secret": f"secret-of-{client}",
                "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
                "redirect_uris": [REDIRECT],
                "scope": "openid offline_access orders:read",
                "backchannel_logout_uri": self.logout_url,
                "backchannel_logout_session_required": True,
            }
            await self.ask("POST", "/admin/clients", document, allowed=HTTPStatus.CONFLICT)

    async def ask(
        self, method: str, path: str, document: object = None, allowed: HTTPStatus = HTTPStatus.OK, **query: str
    ) -> Any:
        """Its admin interface."""
        async with (
            browser() as http,
            http.request(method, f"{self.admin_url}{path}", json=document, params=query) as response,
        ):
            assert response.ok or response.status == allowed, await response.text()
            return await response.json() if response.content_type == "application/json" else None

    async def end_login(self, id_token: str) -> None:
        """As an administrator ends one session of a user."""
        sid = jwt.decode(id_token, options={"verify_signature": False})["sid"]
        await self.ask("DELETE", "/admin/oauth2/auth/sessions/login", sid=sid)

    async def log_out(self, http: aiohttp.ClientSession, id_token: str) -> None:
        """As the application has its user log out."""
        query = {"id_token_hint": id_token}
        place = await self._next(http, f"{self.url}/oauth2/sessions/logout", "", query)
        while not place.startswith(f"{PAGES}/out"):
            place = await self._next(http, place, "")

    async def _next(
        self, http: aiohttp.ClientSession, place: str, name: str, query: dict[str, str] | None = None
    ) -> str:
        if not place.startswith(PAGES):
            return await super()._next(http, place, name, query)
        page = urlsplit(place).path[1:]
        challenge = {f"{page}_challenge": parse_qs(urlsplit(place).query)[f"{page}_challenge"][0]}
        document: dict[str, Any] = {"subject": name, "remember": True} if page == "login" else {}
        if page == "consent":
            asked = await self.ask("GET", "/admin/oauth2/auth/requests/consent", **challenge)
            document = {"grant_scope": asked["requested_scope"], "remember": True}
        said = await self.ask("PUT", f"/admin/oauth2/auth/requests/{page}/accept", document, **challenge)
        return str(said["redirect_to"])

    async def user(
        self, name: str, client: str = "app", scope: str = "openid offline_access orders:read", **more: Any
    ) -> Tokens:
        """Without `offline_access` it gives no refresh token."""
        return await super().user(name, client, scope, **more)
