"""Other people's identity providers behind the gateway: whose tokens pass, as whom, and what ends them.

`cache.ttl` is an hour: what is refused sooner was told. What each provider sends for an act, and what it says of the
token from then on, stands here as it does in `docs/revocation.md`.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from hashlib import sha256
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from support.backend import Backend
from support.foreign_provider import (
    SCOPE,
    Authlib,
    DjangoOauthToolkit,
    ForeignProvider,
    OidcProvider,
    Spring,
    browser,
    running,
)
from support.hydra import Hydra
from support.redis_server import free_port
from support.running_gateway import ADMIN_TOKEN, RunningGateway, configuration, eventually
from support.wire import Answer, request

TOLD_WITHIN_S = 20.0
IDENTITY = {"X-User-Id": ["sub", "username"], "X-Client-Id": "client_id", "X-Scopes": "scope"}
ALL = (OidcProvider, DjangoOauthToolkit, Authlib, Spring, Hydra)


class Tried:
    """A provider, and a gateway before the recording backend that asks it."""

    def __init__(self, provider: Any, gateway: RunningGateway, backend: Backend) -> None:
        self.provider, self.gateway, self.backend = provider, gateway, backend

    async def status(self, token: str, scheme: str = "Bearer", *lines: str) -> int:
        return (await self.gateway.get("/api/x", f"Authorization: {scheme} {token}", *lines)).status

    @property
    def reason(self) -> str:
        """The log's, for the last request."""
        return str(self.gateway.lines.requests[-1]["reason"])

    async def identity(self, token: str) -> tuple[str | None, ...]:
        """What the backend was told of who is calling."""
        before = len(self.backend.requests)
        assert await self.status(token) == 200, self.gateway.lines.requests[-1]
        [seen] = self.backend.requests[before:]
        return tuple(seen.value(name) for name in IDENTITY)

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(line["kind"], line["outcome"]) for line in self.gateway.lines.all if line["event"] == "security_event"]

    async def until_refused(self, token: str) -> None:
        deadline = time.monotonic() + TOLD_WITHIN_S
        while await self.status(token) != 401:
            assert time.monotonic() < deadline, "it still passes"
            await asyncio.sleep(0.01)

    async def forget(self, token: str) -> None:
        """As an administrator of the gateway makes it ask again."""
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        url = f"{self.gateway.admin_url}/cache"
        async with browser() as http, http.delete(url, json={"token": token}, headers=headers) as response:
            assert response.status == 200


Try = Callable[..., Any]


@pytest.fixture(scope="module")
def listen() -> int:
    """The port of every gateway here: the providers are told it when they start."""
    return free_port()


@pytest.fixture(scope="module")
def started(listen: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[type], ForeignProvider]]:
    """Starts each provider once."""
    with ExitStack() as stack:
        running_ones: dict[type, ForeignProvider] = {}

        def start(kind: type[ForeignProvider]) -> ForeignProvider:
            if kind not in running_ones:
                logout_url = f"http://127.0.0.1:{listen}/.gateway/events/backchannel-logout"
                provider = kind(logout_url, tmp_path_factory.mktemp(kind.__name__))
                stack.enter_context(running(provider))
                running_ones[kind] = provider
            return running_ones[kind]

        yield start


@pytest.fixture
def behind(started: Callable[[type], ForeignProvider], listen: int, backend: Backend) -> Try:
    """A gateway that asks the provider; `keys` are the provider's in its configuration."""

    @asynccontextmanager
    async def tried(kind: type, **keys: object) -> AsyncIterator[Tried]:
        provider = started(kind)
        await provider.prepare()
        identity = {"headers": IDENTITY}
        revocation = {"path": "/revoke", "methods": ["POST"]}
        text = configuration(
            providers={"p": {"timeout": "20s", **provider.settings(), **keys}},
            routes=[
                {"name": "api", "match": {"path": "/api/**"}, "backend": backend.url, "identity": identity},
                {"name": "revoke", "match": revocation, "backend": provider.url, "auth": "none",
                 "rewrite": provider.paths["revocation"], "authorization": "keep", "on_success": "evict_token"},
            ],
            server={"listen": f"127.0.0.1:{listen}"},
            cache={"ttl": "1h"},
            events={},
        )  # fmt: skip
        gateway = RunningGateway(text)
        await gateway.start()
        try:
            yield Tried(provider, gateway, backend)
        finally:
            await gateway.stop()

    return tried


@pytest.fixture(params=ALL, ids=lambda one: one.__name__)
def kind(request: pytest.FixtureRequest) -> type[ForeignProvider]:
    return request.param  # type: ignore[no-any-return]


async def test_access_tokens_pass_at_once_as_whose_they_are(behind: Try, kind: type) -> None:
    """At once: Spring's and Hydra's `nbf` is the moment of issue."""
    async with behind(kind) as tried:
        provider = tried.provider
        for name in ("alice", "bob"):
            user, app, scope = await tried.identity((await provider.user(name))["access_token"])
            assert (user, app) == (name, "app")
            assert set(str(scope).split()) - {"offline_access"} == set(SCOPE.split())
        subject = provider.service if kind in {Spring, Hydra} else None  # the others have no sub for a client
        assert await tried.identity(await provider.service_token()) == (subject, provider.service, "orders:read")


@pytest.mark.parametrize("learns", [True, False], ids=["learned", "written"])
async def test_refresh_and_id_tokens_are_no_access_tokens(behind: Try, kind: type, learns: bool) -> None:
    is_typed = kind in {OidcProvider, Spring}
    async with behind(kind, **({} if learns or not is_typed else {"require_token_type": True})) as tried:
        tokens = await tried.provider.user("alice")
        others = [tokens[name] for name in ("refresh_token", "id_token") if name in tokens]
        if learns and is_typed:
            assert await tried.status(others[0]) == 200  # nothing tells it apart yet
        if learns:
            assert await tried.status(tokens["access_token"]) == 200
        for token in others:
            assert await tried.status(token) == 401
        assert await tried.status(tokens["access_token"]) == 200


@pytest.mark.parametrize("kind", [one for one in ALL if one is not Hydra])  # whose admin interface asks nobody
async def test_a_wrong_secret_is_503_and_the_log_has_the_providers_words(behind: Try, kind: type) -> None:
    async with behind(kind, client_secret="another") as tried:
        assert await tried.status((await tried.provider.user("alice"))["access_token"]) == 503
        words = "status 403" if kind is DjangoOauthToolkit else "invalid_client"  # it has no other words
        assert words in tried.reason
        assert "another" not in tried.reason


async def test_what_is_revoked_through_the_gateway_is_refused_at_once(behind: Try, kind: type) -> None:
    async with behind(kind) as tried:
        token = (await tried.provider.user("alice"))["access_token"]
        assert await tried.status(token) == 200
        form = ["Content-Type: application/x-www-form-urlencoded", "Authorization: Basic YXBwOnNlY3JldC1vZi1hcHA="]
        answer: Answer = await tried.gateway.ask(
            request("POST", "/revoke", *form, body=f"token={token}".encode()), "POST"
        )
        assert answer.status == 200
        assert await tried.status(token) == 401


# What is done elsewhere, and what the provider says of the token afterwards; None: an error.
ACTS: dict[type, dict[str, bool | None]] = {
    OidcProvider: {"end-grant": False, "end-session": False, "remove-user": True, "remove-client": None},
    DjangoOauthToolkit: {
        "disable-user": True, "new-password": True, "remove-user": False, "remove-client": False, "revoke": False,
    },
    Authlib: {},
    Spring: {"end-authorization": False, "new-password": True, "remove-user": True, "remove-client": None},
    Hydra: {
        "end-logins-of-user": True, "revoke-consents-of-user": False, "remove-tokens-of-client": False,
        "remove-client": False,
    },
}  # fmt: skip
AFTERWARDS = {True: 200, False: 401, None: 503}


async def test_of_other_acts_the_gateway_is_not_told(behind: Try, kind: type) -> None:
    async with behind(kind) as tried:
        provider = tried.provider
        for name, (act, is_active) in zip(("carol", "dave", "erin", "frank", "bob"), ACTS[kind].items(), strict=False):
            token = (await provider.user(name, "doomed" if act == "remove-client" else "app"))["access_token"]
            assert await tried.status(token) == 200
            await provider.act(act, token)
            await is_not_told(tried, token, act, is_active=is_active)


async def test_nor_is_it_of_a_revocation_at_the_provider(behind: Try, kind: type) -> None:
    async with behind(kind) as tried:
        for revoked in ("access_token", "refresh_token"):
            tokens = await tried.provider.user("alice")
            assert await tried.status(tokens["access_token"]) == 200
            await tried.provider.revoke(tokens[revoked])
            await is_not_told(tried, tokens["access_token"], f"{revoked} revoked", is_active=False)


async def is_not_told(tried: Tried, token: str, act: str, *, is_active: bool | None) -> None:
    assert await tried.provider.is_active(token) is is_active, act
    assert await tried.status(token) == 200, act
    assert tried.told == [], act
    await tried.forget(token)
    assert await tried.status(token) == AFTERWARDS[is_active], act


async def test_a_logout_at_spring_leaves_its_access_tokens_alone(behind: Try) -> None:
    async with behind(Spring) as tried, browser() as http:
        tokens = await tried.provider.log_in(http, "alice")
        assert await tried.status(tokens["access_token"]) == 200
        await tried.provider.log_out(http, tokens["id_token"])
        await is_not_told(tried, tokens["access_token"], "logout", is_active=True)


@pytest.mark.parametrize("who", ["user", "administrator"])
async def test_a_logout_at_hydra_arrives_and_ends_no_token(behind: Try, who: str) -> None:
    """Hydra names a `sid` that its introspection answers do not have, and calls the tokens active all the same."""
    async with behind(Hydra) as tried, browser() as http:
        tokens = await tried.provider.log_in(http, "alice")
        assert await tried.status(tokens["access_token"]) == 200
        if who == "user":
            await tried.provider.log_out(http, tokens["id_token"])
        else:
            await tried.provider.end_login(tokens["id_token"])
        await eventually(lambda: tried.told == [("logout", "evicted")])
        assert await tried.status(tokens["access_token"]) == 200
        assert tried.gateway.lines.requests[-1]["cache"] == "local"
        assert await tried.provider.is_active(tokens["access_token"]) is True


@pytest.mark.parametrize("client", ["app", "app-without-sid"])
async def test_a_logout_at_oidc_provider_arrives(behind: Try, client: str) -> None:
    async with behind(OidcProvider) as tried, browser() as http:
        here = await tried.provider.log_in(http, f"user-of-{client}", client)
        there = await tried.provider.user(f"user-of-{client}", client)
        for tokens in (here, there):
            assert await tried.status(tokens["access_token"]) == 200
        await tried.provider.log_out(http)
        await tried.until_refused(here["access_token"])
        assert tried.told == [("logout", "evicted")]
        # Its logout tokens always have a sub: what the user has elsewhere is asked about once more, and goes on.
        assert await tried.status(there["access_token"]) == 200
        assert tried.gateway.lines.requests[-1]["cache"] == "provider"


async def test_offline_access_at_oidc_provider_outlives_the_logout(behind: Try) -> None:
    async with behind(OidcProvider) as tried, browser() as http:
        tokens = await tried.provider.log_in(http, "offline", "app", f"{SCOPE} offline_access", prompt="consent")
        assert await tried.status(tokens["access_token"]) == 200
        await tried.provider.log_out(http)
        assert tried.told == [("logout", "evicted")]
        assert await tried.status(tokens["access_token"]) == 200
        assert await tried.provider.is_active(tokens["access_token"]) is True


async def test_a_jwt_that_oidc_provider_does_not_introspect_is_401(behind: Try) -> None:
    async with behind(OidcProvider) as tried:
        tokens = await tried.provider.user("alice", resource="https://orders.example")
        assert tokens["access_token"].count(".") == 2
        assert await tried.status(tokens["access_token"]) == 401
        assert "unsupported_token_type" in tried.reason


@pytest.mark.parametrize("kind", [OidcProvider, Spring], ids=lambda kind: kind.__name__)
async def test_a_token_that_is_bound_to_a_key_is_good_with_its_proofs_only(behind: Try, kind: type) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    header = {"typ": "dpop+jwt", "jwk": json.loads(ECAlgorithm.to_jwk(key.public_key()))}
    async with behind(kind) as tried:
        url = f"{tried.provider.url}{tried.provider.paths['token']}"
        claims = {"htm": "POST", "htu": url, "iat": int(time.time()), "jti": f"of-{kind.__name__}"}
        tokens = await tried.provider.user("alice", headers={"DPoP": jwt.encode(claims, key, "ES256", header)})
        token = tokens["access_token"]
        assert tokens["token_type"] == "DPoP"
        assert await tried.status(token) == 401
        assert "cnf (jkt)" in tried.reason
        digest = base64.urlsafe_b64encode(sha256(token.encode()).digest()).rstrip(b"=").decode()
        claims |= {"htm": "GET", "htu": "http://gw.example/api/x", "ath": digest}
        right = jwt.encode({**claims, "jti": "right"}, key, "ES256", header)
        assert await tried.status(token, "DPoP", f"DPoP: {right}") == 200
        assert await tried.status(token, "DPoP", f"DPoP: {right}") == 401
        assert tried.reason == "the proof was used before"
