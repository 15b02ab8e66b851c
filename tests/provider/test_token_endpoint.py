import pytest
from support.scripted_provider import Fault, Reply

from gateway.demo.demo_provider import DemoProvider
from gateway.provider.errors import ProviderError, TokenRefused, UnreachableError, UnusableResponseError
from gateway.provider.grants import AuthorizationCode, ClientCredentials, Password, RefreshToken, TokenExchange

GOOD = {"access_token": "a", "token_type": "Bearer", "expires_in": 300}


@pytest.fixture
def provider(client, scripted):
    return client(introspection_endpoint=scripted.introspection_endpoint, token_endpoint=scripted.token_endpoint)


@pytest.fixture
async def demo():
    made = DemoProvider()
    await made.start()
    yield made
    await made.stop()


async def test_the_answer_is_given_as_it_came(provider, scripted):
    scripted.token_answer = {**GOOD, "x": [1]}
    assert await provider.token(ClientCredentials()) == {**GOOD, "x": [1]}


async def test_the_provider_sees_the_grant_and_the_scope(provider, scripted):
    scripted.token_answer = GOOD
    await provider.token(AuthorizationCode("c+/=", "https://app/cb?x=1", "v"), scope="openid orders:read")
    assert scripted.calls[0].body == (
        b"grant_type=authorization_code&code=c%2B%2F%3D&redirect_uri=https%3A%2F%2Fapp%2Fcb%3Fx%3D1"
        b"&code_verifier=v&scope=openid+orders%3Aread"
    )


@pytest.mark.parametrize(
    ("status", "document", "error", "description"),
    [
        (400, {"error": "invalid_grant", "error_description": "Code not valid"}, "invalid_grant", "Code not valid"),
        (401, {"error": "invalid_client"}, "invalid_client", None),
        (403, {"error": "access_denied", "error_description": "no\nsuch"}, "access_denied", None),
        (400, {"error": "invalid_scope", "error_description": 7}, "invalid_scope", None),
        (400, {"error": "x", "error_description": "\x1b[2J"}, "x", None),
    ],
)
async def test_a_refusal_is_a_refusal(provider, scripted, status, document, error, description):
    scripted.token_answer = Reply(status, document)
    with pytest.raises(TokenRefused) as caught:
        await provider.token(ClientCredentials())
    refused = caught.value
    assert (refused.error, refused.error_description, refused.status) == (error, description, status)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"access_token": "a"},
        {"access_token": 1, "token_type": "Bearer"},
        {"access_token": "", "token_type": "Bearer"},
        {"error": "invalid_grant"},
        b"[]",
        b"access_token=a&token_type=bearer",
        b"",
        Reply(201, GOOD),
        Reply(400, {}),
        Reply(400, {"error": ["x"]}),
        Reply(400, {"error": "\x1b[2J"}),
        Reply(400, body=b"<html>"),
        Reply(400, body=b'["error"]'),
        Reply(429, {"error": "slow_down"}),
        Reply(500, {"error": "server_error"}),
        Reply(503, GOOD),
    ],
)
async def test_neither_tokens_nor_a_refusal_is_unclear(provider, scripted, answer):
    scripted.token_answer = answer
    with pytest.raises(UnusableResponseError):
        await provider.token(ClientCredentials())


@pytest.mark.parametrize("fault", Fault)
async def test_every_fault_is_unclear_and_the_grant_is_sent_once(client, scripted, fault):
    provider = client(token_endpoint=scripted.token_endpoint, issuer=scripted.issuer, timeout="400ms")
    scripted.token_answer = GOOD
    scripted.fault = fault
    with pytest.raises(ProviderError):
        await provider.token(RefreshToken("once"))
    assert len(scripted.calls) == 1


async def test_retry_after_is_passed_on(provider, scripted):
    scripted.token_answer = Reply(429, {}, headers={"Retry-After": "9"})
    with pytest.raises(ProviderError) as caught:
        await provider.token(ClientCredentials())
    assert caught.value.retry_after_s == 9


async def test_the_endpoint_is_discovered_when_it_is_first_asked_for(client, scripted):
    provider = client(issuer=scripted.issuer, introspection_endpoint=scripted.introspection_endpoint)
    scripted.discovery = scripted.metadata(introspection_endpoint=None)
    scripted.token_answer = GOOD
    await provider.start()
    assert provider.ready
    for _ in range(2):
        await provider.token(ClientCredentials())
    assert [call.path for call in scripted.calls] == [
        "/realms/test/.well-known/openid-configuration",
        "/token",
        "/token",
    ]


async def test_one_that_is_named_wins_over_one_that_is_discovered(client, scripted):
    provider = client(issuer=scripted.issuer, token_endpoint=scripted.token_endpoint)
    scripted.token_answer = GOOD
    await provider.token(ClientCredentials())
    assert [call.path for call in scripted.calls] == ["/token"]


async def test_without_issuer_and_endpoint_it_says_what_to_write(client, scripted):
    provider = client(introspection_endpoint=scripted.introspection_endpoint)
    with pytest.raises(UnreachableError, match="write token_endpoint or issuer"):
        await provider.token(ClientCredentials())


async def test_each_grant_at_a_provider_that_understands_it(client, demo):
    service = client(issuer=demo.issuer, client_id="demo-service", client_secret="demo-service-secret")
    app = client(issuer=demo.issuer, client_id="demo-app", client_auth="none", client_secret=None)
    own = await service.token(ClientCredentials())
    assert own["token_type"] == "Bearer"
    alice = await app.token(Password("alice", "alice"), scope="orders:read")
    assert "orders:read" in alice["scope"]
    again = await app.token(RefreshToken(alice["refresh_token"]))
    assert again["access_token"] != alice["access_token"]
    exchanged = await service.token(TokenExchange(again["access_token"], audience=("orders-api",)))
    assert exchanged["issued_token_type"].endswith(":access_token")
    with pytest.raises(TokenRefused, match="invalid_grant"):
        await app.token(Password("alice", "wrong"))
    with pytest.raises(TokenRefused, match="unsupported_grant_type"):
        await app.token(AuthorizationCode("c"))
