"""Identity providers of other people, each a process of its own on loopback, and how a user gets tokens of it.

What a provider needs (Node and NODE_MODULES, a package of FOREIGN_PYTHON, a jar) may not be there: then the test that
asks for it is skipped with the reason.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urljoin, urlsplit

import aiohttp
import pytest
from support.redis_server import free_port

PROGRAMS = Path(__file__).parents[1] / "foreign" / "providers"
PYTHON = os.environ.get("FOREIGN_PYTHON", sys.executable)
STARTED_WITHIN_S = 120.0  # Spring on a busy machine
STOP_WITHIN_S = 20.0
CALL_S = 30.0
REDIRECT = "https://app.example/back"
SCOPE = "openid orders:read"
_REDIRECTS = frozenset({HTTPStatus.FOUND, HTTPStatus.SEE_OTHER})

Tokens = dict[str, Any]
Command = tuple[list[str], dict[str, str]]


@dataclass
class ForeignProvider:
    """`logout_url` is where it is to send its logout tokens; `folder` is its own."""

    logout_url: str
    folder: Path
    port: int = field(default_factory=free_port)

    paths: ClassVar[dict[str, str]]  # of its endpoints: token, introspection, revocation
    service: ClassVar[str] = "app"  # the client of the client credentials grant

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "provider.log"

    def command(self) -> Command:
        """The words and the environment to start it with. Skips where something is missing."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """What the gateway's configuration says of it, as `docs/configuration.md` has it."""
        return {"issuer": self.url, "client_id": "gateway", "client_secret": "secret-of-gateway"}

    def place(self, end: str) -> str:
        return f"{self.url}{self.paths[end]}"

    async def prepare(self) -> None:
        """What is to be done once it listens; again does no harm."""

    async def user(self, name: str, client: str = "app") -> Tokens:
        """The token endpoint's answer about a user who has just logged in."""
        password = {"username": name, "password": password_of(name)}
        return await self.token(client, grant_type="password", scope=SCOPE, **password)

    async def token(self, client: str, headers: dict[str, str] | None = None, **form: str) -> Tokens:
        return dict(await self._post("token", client, form, headers))

    async def service_token(self) -> str:
        tokens = await self.token(self.service, grant_type="client_credentials", scope="orders:read")
        return str(tokens["access_token"])

    async def is_active(self, token: str) -> bool | None:
        """What it says now to the question that the gateway asks; `None` for no sound answer."""
        try:
            said = await self._post("introspection", "gateway", {"token": token, "token_type_hint": "access_token"})
        except AssertionError:
            return None
        return bool(said["active"])

    async def revoke(self, token: str) -> None:
        await self._post("revocation", "app", {"token": token})

    async def act(self, act: str, token: str) -> None:
        """What an administrator does, or the program that has the library in it."""
        async with browser() as http, http.post(f"{self.url}/act/{act}", params={"token": token}) as response:
            assert response.status == HTTPStatus.NO_CONTENT, await response.text()

    async def _post(self, end: str, client: str, form: dict[str, str], headers: dict[str, str] | None = None) -> Any:
        basic = base64.b64encode(f"{client}:secret-of-{client}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}", **(headers or {})}
        url = self.place(end)
        async with browser() as http, http.post(url, data=form, headers=headers, allow_redirects=False) as response:
            assert response.status == HTTPStatus.OK, await response.text()
            return await response.json() if response.content_type == "application/json" else None


class WithLoginPage(ForeignProvider):
    """Users log in by the authorization code flow."""

    authorization: ClassVar[str]

    async def user(self, name: str, client: str = "app", scope: str = SCOPE, **more: Any) -> Tokens:
        async with browser() as one:
            return await self.log_in(one, name, client, scope, **more)

    async def log_in(
        self,
        http: aiohttp.ClientSession,
        name: str,
        client: str = "app",
        scope: str = SCOPE,
        headers: dict[str, str] | None = None,
        **more: str,
    ) -> Tokens:
        """As the browser of the user and the application go through it; `headers` are the application's."""
        query = {
            "client_id": client,
            "redirect_uri": REDIRECT,
            "response_type": "code",
            "scope": scope,
            "state": "state-of-the-app",
            **more,
        }
        place = await self._next(http, f"{self.url}{self.authorization}", name, {**query, "login_hint": name})
        while not place.startswith(REDIRECT):
            place = await self._next(http, place, name)
        code = parse_qs(urlsplit(place).query)["code"][0]
        resource = {"resource": more["resource"]} if "resource" in more else {}
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, **resource}
        return await self.token(client, headers, **form)

    async def _next(
        self, http: aiohttp.ClientSession, place: str, name: str, query: dict[str, str] | None = None
    ) -> str:
        """Where the page at `place` leads; a page with a form is the login."""
        accept = {"Accept": "text/html"}
        async with http.get(place, params=query, headers=accept, allow_redirects=False) as response:
            page = await response.text()
            if response.status in _REDIRECTS:
                return urljoin(place, response.headers["Location"])
        form = {"username": name, "password": password_of(name), "_csrf": value_in(page, "_csrf")}
        async with http.post(place, data=form, allow_redirects=False) as response:
            assert response.status in _REDIRECTS, await response.text()
            return urljoin(place, response.headers["Location"])


@dataclass
class OidcProvider(WithLoginPage):
    """`modules` is the folder that has it, by default the one that `NODE_MODULES` names; `node` runs it."""

    modules: Path | None = None
    node: str | None = None

    authorization: ClassVar = "/auth"
    paths: ClassVar = {"token": "/token", "introspection": "/token/introspection", "revocation": "/token/revocation"}

    def command(self) -> Command:
        node, modules = self.node or shutil.which("node"), self.modules or Path(os.environ.get("NODE_MODULES", ""))
        if node is None:
            pytest.skip("there is no node on this machine")
        if not (modules / "oidc-provider" / "package.json").is_file():
            pytest.skip("no oidc-provider in the folder that NODE_MODULES names")
        program = str(PROGRAMS / "oidc_provider.mjs")
        return [node, program, str(self.port), self.logout_url], {"NODE_MODULES": str(modules.resolve())}

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "events": {"audience": ["app", "app-without-sid"]}}

    async def log_out(self, http: aiohttp.ClientSession) -> None:
        """At the end-session endpoint, which asks by a form whether it is meant."""
        async with http.get(f"{self.url}/session/end") as response:
            form = {"xsrf": value_in(await response.text(), "xsrf"), "logout": "yes"}
        async with http.post(f"{self.url}/session/end/confirm", data=form, allow_redirects=False) as response:
            assert response.status in _REDIRECTS, await response.text()


class Spring(WithLoginPage):
    authorization: ClassVar = "/oauth2/authorize"
    paths: ClassVar = {
        "token": "/oauth2/token",
        "introspection": "/oauth2/introspect",
        "revocation": "/oauth2/revoke",
    }

    def command(self) -> Command:
        java, jar = shutil.which("java"), os.environ.get("SPRING_AUTHORIZATION_SERVER", "")
        if java is None:
            pytest.skip("there is no java on this machine")
        if not Path(jar).is_file():
            pytest.skip("SPRING_AUTHORIZATION_SERVER names no jar of tests/foreign/providers/spring")
        listen = [f"--server.port={self.port}", "--server.address=127.0.0.1"]
        return [java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-jar", jar, *listen], {}

    async def log_out(self, http: aiohttp.ClientSession, id_token: str) -> None:
        query = {"id_token_hint": id_token, "post_logout_redirect_uri": "https://app.example/out"}
        async with http.get(f"{self.url}/connect/logout", params=query, allow_redirects=False) as response:
            assert response.headers["Location"] == query["post_logout_redirect_uri"]


class DjangoOauthToolkit(ForeignProvider):
    paths: ClassVar = {"token": "/o/token/", "introspection": "/o/introspect/", "revocation": "/o/revoke_token/"}
    service: ClassVar[str] = "service"

    def command(self) -> Command:
        words = python("oauth2_provider", "django-oauth-toolkit")
        return [*words, str(PROGRAMS / "django_oauth_toolkit.py"), str(self.port), str(self.folder)], {}

    def settings(self) -> dict[str, Any]:
        endpoint = f"{self.url}{self.paths['introspection']}"
        return {**super().settings(), "issuer": f"{self.url}/o", "introspection_endpoint": endpoint}


class Authlib(ForeignProvider):
    paths: ClassVar = {"token": "/token", "introspection": "/introspection", "revocation": "/revocation"}

    def command(self) -> Command:
        python("flask", "flask")
        return [*python("authlib", "authlib"), str(PROGRAMS / "authlib_app.py"), str(self.port)], {}

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "introspection_endpoint": f"{self.url}{self.paths['introspection']}"}


@contextmanager
def running(provider: ForeignProvider) -> Iterator[None]:
    """Its process, from when it listens until the block is left."""
    words, environment = provider.command()
    with provider.log.open("wb") as log:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **environment}
        )
    try:
        _wait_until_it_listens(provider, process)
        yield
    finally:
        _stop(process)


def _wait_until_it_listens(provider: ForeignProvider, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTED_WITHIN_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", provider.port)).close()
        except OSError:
            is_late = process.poll() is not None or time.monotonic() > deadline
            assert not is_late, f"it did not start:\n{provider.log.read_text()[-3000:]}"
            time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """By SIGTERM, and by SIGKILL where that does not help."""
    process.terminate()
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def browser() -> aiohttp.ClientSession:
    """Keeps cookies, also of an address."""
    jar = aiohttp.CookieJar(unsafe=True)
    return aiohttp.ClientSession(cookie_jar=jar, timeout=aiohttp.ClientTimeout(total=CALL_S), trust_env=False)


def password_of(name: str) -> str:
    return f"password-of-{name}"


def value_in(page: str, name: str) -> str:
    """That of the hidden field."""
    return page.partition(f'name="{name}"')[2].partition('value="')[2].partition('"')[0]


def python(module: str, package: str) -> list[str]:
    if subprocess.run([PYTHON, "-c", f"import {module}"], capture_output=True, timeout=60, check=False).returncode:
        pytest.skip(f"{PYTHON} has no {package}; name one that has it in FOREIGN_PYTHON")
    return [PYTHON]
