"""A second provider that is nobody's Java: npm's oidc-provider, for opaque tokens, signed answers and resources."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support import mcp_guide, npm
from support.backend import Backend, ok, script
from support.caller_token import TOKEN_PLACES, authorizations, in_all_places, nowhere_in
from support.foreign_provider import OidcProvider, browser, running
from support.running_gateway import RunningGateway, configuration

from gateway.authn.bearer import Token
from gateway.authn.compact_jws import Unverified, read_unverified
from gateway.authn.facts import Facts, Inactive, Indeterminate
from gateway.config.provider_model import Provider
from gateway.provider.provider import ProviderClient

RELEASE = "9.13.3"
OPAQUE = "https://api.example/opaque"
BILLING = "https://api.example/opaque/billing"
SIGNED = {"accept": "jwt"}


@pytest.fixture(scope="module")
def oidc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    node, modules = npm.node(), npm.modules_with("oidc-provider", RELEASE)
    folder = tmp_path_factory.mktemp("oidc")
    provider = OidcProvider("http://127.0.0.1:9/logout", folder, modules=modules, node=node)
    with running(provider):
        yield provider


@pytest.fixture
async def ask(oidc: OidcProvider) -> AsyncIterator[Callable[..., Any]]:
    """Asks it about a token as the client `client_id` does."""
    made: list[ProviderClient] = []

    async def asked(token: str, client_id: str = "gateway", **keys: Any) -> Any:
        settings = {**oidc.settings(), "client_id": client_id, "client_secret": f"secret-of-{client_id}", **keys}
        made.append(ProviderClient("oidc", Provider(**{"timeout": "30s", **settings})))
        return await made[-1].introspect(Token(token))

    yield asked
    for each in made:
        await each.close()


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    recording = Backend()
    await recording.start()
    recording.default = script(ok(b"hello", "Content-Type: text/plain"))
    yield recording
    await recording.stop()
    assert recording.faults == []


@pytest.fixture
def gate(oidc: OidcProvider, backend: Backend) -> Callable[..., Any]:
    """A gateway with a route for each audience; `keys` are the provider's in its file."""

    @asynccontextmanager
    async def opened(**keys: Any) -> AsyncIterator[RunningGateway]:
        routes = [
            {"name": "any", "match": {"path": "/any"}, "backend": backend.url},
            {"name": "orders", "match": {"path": "/orders"}, "backend": backend.url,
             "auth": {"audience": ["orders-api"]}},
            {"name": "billing", "match": {"path": "/billing"}, "backend": backend.url,
             "auth": {"audience": ["billing-api"]}},
        ]  # fmt: skip
        providers = {"oidc": {**oidc.settings(), "timeout": "30s", "require_token_type": True, **keys}}
        gateway = RunningGateway(configuration(providers=providers, routes=routes, cache={"ttl": "1h"}, events={}))
        await gateway.start()
        try:
            yield gateway
        finally:
            await gateway.stop()

    return opened


@pytest.mark.parametrize("introspection", [{}, SIGNED], ids=["json", "signed"])
async def test_an_opaque_token_passes_as_whose_it_is_and_others_do_not(
    oidc: OidcProvider, gate: Callable[..., Any], backend: Backend, introspection: dict[str, Any]
) -> None:
    tokens = await oidc.user("alice")
    assert tokens["access_token"].count(".") == 0
    async with gate(introspection=introspection) as gateway:
        assert (await gateway.get("/any", token=tokens["access_token"])).status == 200
        assert backend.requests[-1].value("X-User-Id") == "alice"
        assert (await gateway.get("/any", token="made-up")).status == 401
        assert (await gateway.get("/any", token=tokens["refresh_token"])).status == 401
        await oidc.revoke(tokens["access_token"])
        async with gate(introspection=introspection) as another:  # one that remembers nothing
            assert (await another.get("/any", token=tokens["access_token"])).status == 401


@pytest.mark.parametrize("introspection", [{}, SIGNED], ids=["json", "signed"])
async def test_a_token_for_one_resource_is_refused_at_another(
    oidc: OidcProvider, gate: Callable[..., Any], introspection: dict[str, Any]
) -> None:
    """Resource indicators (RFC 8707): the provider makes `aud` of the resource that the client asked for."""
    async with gate(introspection=introspection) as gateway:
        for resource, passes, refused in ((OPAQUE, "/orders", "/billing"), (BILLING, "/billing", "/orders")):
            token = (await oidc.user("alice", resource=resource, scope="orders:read"))["access_token"]
            assert token.count(".") == 0
            assert (await gateway.get(passes, token=token)).status == 200
            assert (await gateway.get(refused, token=token)).status == 401


@pytest.mark.parametrize(("client_id", "algorithm"), [("gateway", "RS256"), ("another", "ES256")])
async def test_its_signed_answers_are_good_by_rfc_9701_and_are_the_phantom_token(
    oidc: OidcProvider, ask: Callable[..., Any], client_id: str, algorithm: str
) -> None:
    token = (await oidc.user("alice"))["access_token"]
    facts = await ask(token, client_id, introspection=SIGNED)
    assert isinstance(facts, Facts), facts
    assert (facts.claims["sub"], facts.claims["client_id"]) == ("alice", "app")
    phantom = read_unverified(facts.phantom or "")
    assert isinstance(phantom, Unverified)
    assert (phantom.algorithm, phantom.typ) == (algorithm, "token-introspection+jwt")
    assert (phantom.claims["iss"], phantom.claims["aud"]) == (oidc.url, client_id)
    assert phantom.claims["token_introspection"] == facts.claims
    assert isinstance(await ask("made-up", client_id, introspection=SIGNED), Inactive)


async def test_a_signature_by_the_clients_own_secret_is_neither_yes_nor_no(
    oidc: OidcProvider, ask: Callable[..., Any]
) -> None:
    """The gateway has that secret too, so it proves nothing of who wrote the answer (RFC 8725 §3.1)."""
    token = (await oidc.user("alice"))["access_token"]
    secret = "secret-of-by-mac".ljust(32, "-")
    assert isinstance(await ask(token, "by-mac", client_secret=secret), Facts)
    refused = await ask(token, "by-mac", client_secret=secret, introspection=SIGNED)
    assert isinstance(refused, Indeterminate)
    assert "an algorithm that algorithms of the provider does not name" in refused.reason


async def test_two_tokens_of_one_client_and_one_second_both_pass(oidc: OidcProvider, ask: Callable[..., Any]) -> None:
    """It tells nothing of an opaque token but what both have alike, so that RS256 signs the same bytes twice."""
    tokens = await asyncio.gather(oidc.service_token(), oidc.service_token())
    client = Provider(**oidc.settings(), timeout="30s", introspection=SIGNED)
    provider = ProviderClient("oidc", client)
    try:
        results = await asyncio.gather(*[provider.introspect(Token(token)) for token in tokens])
        assert all(isinstance(result, Facts) for result in results), results
    finally:
        await provider.close()


async def test_what_its_metadata_says_is_not_held_against_it(oidc: OidcProvider) -> None:
    provider = ProviderClient("oidc", Provider(**oidc.settings(), timeout="30s", introspection=SIGNED))
    try:
        await provider.introspect(Token("made-up"))
        assert provider._endpoints.objection == ""
    finally:
        await provider.close()


async def test_an_mcp_client_finds_its_way_from_the_401_alone(oidc: OidcProvider, backend: Backend) -> None:
    """The walk of `docs/mcp.md`, by a client that knows the URL of the server and nothing else."""
    called, read, called_again, _ = mcp_guide.steps()
    keys = {"issuer": oidc.url, "client_secret": "secret-of-gateway", "timeout": "30s"}
    gateway = RunningGateway(json.dumps(mcp_guide.configuration(backend.url, **keys)))
    await gateway.start()
    try:
        refused = await gateway.ask(called.wire, called.method)
        assert refused.status == 401
        place = str(refused.value("WWW-Authenticate")).partition('resource_metadata="')[2].rstrip('"')
        assert place == f"https://mcp.example.com{read.wire.decode().split(' ')[1]}"
        resource = json.loads((await gateway.ask(read.wire, read.method)).body)
        [issuer] = resource["authorization_servers"]
        async with browser() as http, http.get(f"{issuer}/.well-known/openid-configuration") as response:
            metadata = await response.json()
        assert metadata["authorization_endpoint"] == f"{oidc.url}{oidc.authorization}"
        scope = " ".join(resource["scopes_supported"])
        tokens = await oidc.user("alice", resource=resource["resource"], scope=scope)
        for token, status in ((tokens["access_token"], 200), ((await oidc.user("alice"))["access_token"], 401)):
            wire = called_again.wire.replace(b"the-token-of-the-client", token.encode())
            assert (await gateway.ask(wire, called_again.method)).status == status
        assert [one.value("X-User-Id") for one in backend.requests] == ["alice"]
    finally:
        await gateway.stop()


# Token exchange (RFC 8693), a grant type that the program registers.

JWT_BILLING = "https://api.example/billing"


@asynccontextmanager
async def exchanging(oidc: OidcProvider, backend: Backend, **exchange: Any) -> AsyncIterator[RunningGateway]:
    """A gateway with one route, whose backend gets a token for `exchange` in the place of the caller's."""
    auth = {"audience": ["orders-api"], "token_from": list(TOKEN_PLACES)}
    route = {"name": "bills", "backend": backend.url, "auth": auth, "authorization": {"exchange": exchange}}
    providers = {"oidc": {**oidc.settings(), "timeout": "30s"}}
    gateway = RunningGateway(configuration(providers=providers, routes=[route], events={}))
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


@pytest.mark.parametrize("resource", [BILLING, JWT_BILLING], ids=["opaque", "jwt"])
async def test_a_token_for_one_resource_arrives_as_one_for_another(
    oidc: OidcProvider, ask: Callable[..., Any], backend: Backend, resource: str
) -> None:
    token = (await oidc.user("alice", resource=OPAQUE))["access_token"]
    async with exchanging(oidc, backend, resource=resource, scopes=["orders:read"]) as gateway:
        for wire in in_all_places(token):
            answer = await gateway.ask(wire, "POST")
            assert answer.status == 200, answer.body
    sent = {value.removeprefix("Bearer ") for value in authorizations(backend)}
    assert len(sent) == 1  # exchanged once
    nowhere_in(backend, token)
    if resource == BILLING:
        facts = await ask(*sent)
        assert isinstance(facts, Facts), facts
        claims = dict(facts.claims)
    else:
        read = read_unverified(*sent)
        assert isinstance(read, Unverified), read
        claims = dict(read.claims)
    assert (claims["sub"], claims["aud"], claims["client_id"]) == ("alice", "billing-api", "gateway")
    assert claims["scope"] == "orders:read"


async def test_a_resource_that_it_does_not_know_is_refused_and_no_token_reaches_the_backend(
    oidc: OidcProvider, backend: Backend
) -> None:
    token = (await oidc.user("alice", resource=OPAQUE))["access_token"]
    async with exchanging(oidc, backend, resource="https://other.example/") as gateway:
        refused = await gateway.get("/x", token=token)
        assert (refused.status, refused.problem["code"]) == (403, "exchange_refused")
        assert "invalid_target" in (await gateway.log_line())["reason"]
    assert backend.connections == []
