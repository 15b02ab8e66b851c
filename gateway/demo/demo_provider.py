"""A provider for demos and tests **only**: Keycloak's paths, two users with public passwords, nothing stored.

It lets in anybody who has read the README, so it refuses to listen where others could reach it. The protocols are real:
tokens are signed JWTs, and introspection and revocation require an authenticated client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from gateway.config.values import is_loopback_address
from gateway.demo.demo_proofs import bound_key
from gateway.demo.realm import REALM
from gateway.demo.token_requests import GRANTS, TokenRefusal, client_of, confidential
from gateway.demo.tokens import Tokens, new_key

_PROTOCOL = f"/realms/{REALM}/protocol/openid-connect"
_FORM_MAX_BYTES = 256 * 2**10
_SHUTDOWN_S = 1.0


class DemoProvider:
    """Serves the realm `demo` on loopback. `port=0` takes a free port; `issuer` is right once `start` has returned.

    `introspections` counts the introspection calls, so that a walk-through can show that a result came from a cache.
    With `key` it need not make one, where many are started. Raises `ValueError` for a host beyond loopback.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        key: RSAPrivateKey | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not is_loopback_address(host):
            raise ValueError(
                f"the demo provider has public passwords and listens on loopback only; write 127.0.0.1, not {host}"
            )
        self.introspections = 0
        self._host = host
        self._port = port
        self._key = key
        self._clock = clock
        self._tokens: Tokens | None = None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def issuer(self) -> str:
        return f"{self.url}/realms/{REALM}"

    @property
    def token_endpoint(self) -> str:
        return f"{self.url}{_PROTOCOL}/token"

    @property
    def introspection_endpoint(self) -> str:
        return f"{self.url}{_PROTOCOL}/token/introspect"

    @property
    def revocation_endpoint(self) -> str:
        return f"{self.url}{_PROTOCOL}/revoke"

    async def start(self) -> None:
        """Listen. Raises `OSError` where the port is taken."""
        key = await asyncio.to_thread(new_key) if self._key is None else self._key
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = runner.addresses[0][1]
        self._tokens = Tokens(self.issuer, key, self._clock)

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=_FORM_MAX_BYTES, middlewares=[_refusal_responses])
        app.router.add_get(f"/realms/{REALM}/.well-known/openid-configuration", self._discovery)
        app.router.add_get(f"/.well-known/oauth-authorization-server/realms/{REALM}", self._discovery)
        app.router.add_post(f"{_PROTOCOL}/token", self._token)
        app.router.add_post(f"{_PROTOCOL}/token/introspect", self._introspect)
        app.router.add_post(f"{_PROTOCOL}/revoke", self._revoke)
        app.router.add_get(f"{_PROTOCOL}/certs", self._certs)
        return app

    async def _discovery(self, _request: web.Request) -> web.Response:
        base = f"{self.url}{_PROTOCOL}"
        return web.json_response(
            {
                "issuer": self.issuer,
                "token_endpoint": f"{base}/token",
                "introspection_endpoint": f"{base}/token/introspect",
                "revocation_endpoint": f"{base}/revoke",
                "jwks_uri": f"{base}/certs",
                "grant_types_supported": list(GRANTS),
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "dpop_signing_alg_values_supported": ["ES256"],
            }
        )

    async def _token(self, request: web.Request) -> web.Response:
        form = await _form(request)
        client = client_of(request.headers.get("Authorization"), form)
        grant = GRANTS.get(form.get("grant_type", ""))
        if grant is None:
            raise TokenRefusal(400, "unsupported_grant_type", "Unsupported grant_type")
        tokens = self._started()
        if (proof := request.headers.get("DPoP")) is not None:
            tokens = tokens.bound_to(bound_key(proof, "POST", self.token_endpoint, self._clock()))
        # RFC 6749 §5.1: nobody on the way may store tokens.
        return web.json_response(grant(tokens, client, form), headers={"Cache-Control": "no-store"})

    async def _introspect(self, request: web.Request) -> web.Response:
        form = await _form(request)
        confidential(client_of(request.headers.get("Authorization"), form))
        self.introspections += 1
        return web.json_response(self._started().introspect(form.get("token", "")))

    async def _revoke(self, request: web.Request) -> web.Response:
        form = await _form(request)
        client_of(request.headers.get("Authorization"), form)
        self._started().revoke(form.get("token", ""))
        return web.Response()  # 200 for unknown tokens too (RFC 7009 §2.2)

    async def _certs(self, _request: web.Request) -> web.Response:
        return web.json_response(self._started().jwks())

    def _started(self) -> Tokens:
        assert self._tokens is not None  # requests come after `start`
        return self._tokens


@web.middleware
async def _refusal_responses(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except TokenRefusal as refusal:
        return web.json_response(refusal.document, status=refusal.status)
    return response


async def _form(request: web.Request) -> dict[str, str]:
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
