"""Calls to a provider through `proxy`: nothing reaches it otherwise, and its password is shown nowhere."""

import asyncio
import ssl

import pytest
import trustme
from support.forward_proxy import ForwardProxy
from support.scripted_provider import ScriptedProvider

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Indeterminate
from gateway.provider.errors import UnusableResponseError
from gateway.provider.grants import ClientCredentials

TOKEN = Token("secret-token")


@pytest.fixture
async def tls():
    """A provider with TLS, and what trusts it."""
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with ScriptedProvider(serving) as provider:
        provider.default = {"active": True}
        yield provider, trusting


def through(proxy, login=""):
    return f"http://{login and login + '@'}127.0.0.1:{proxy.port}"


async def test_every_kind_of_call_goes_through_it_and_nothing_else_does(client, scripted):
    scripted.default = {"active": True}
    scripted.discovery = scripted.metadata(jwks_uri=scripted.jwks_uri)
    scripted.token_answer = {"access_token": "a", "token_type": "Bearer"}
    scripted.keys = {"keys": []}
    async with ForwardProxy() as proxy:
        provider = client(issuer=scripted.issuer, proxy=through(proxy))
        assert isinstance(await provider.introspect(TOKEN), Facts)
        await provider.token(ClientCredentials())
        with pytest.raises(UnusableResponseError, match="none of its keys"):  # it came to the set, which is empty
            await provider.keys.has_signed("a.b.c", "RS256", None)
        asked = [line.split(" ")[1] for line in proxy.lines]
        assert len(asked) == len(scripted.calls)
        assert all(target.startswith(scripted.url) for target in asked)  # absolute-form (RFC 9112 §3.2.2)
        assert {call.path for call in scripted.calls} >= {"/introspect", "/token", "/keys"}


async def test_an_https_endpoint_is_reached_by_a_tunnel_that_the_proxy_cannot_read(client, tls):
    provider, trusting = tls
    async with ForwardProxy() as proxy:
        asked = client(introspection_endpoint=provider.introspection_endpoint, proxy=through(proxy), tls=trusting)
        for number in range(3):
            assert isinstance(await asked.introspect(Token(f"secret-token-{number}")), Facts)
        assert [line.split(" ")[:2] for line in proxy.lines] == [["CONNECT", provider.url.removeprefix("https://")]]
        assert b"secret-token" not in proxy.seen
        assert b"POST" not in proxy.seen
        assert "Authorization" not in proxy.heads[0].replace("Proxy-Authorization", "")


async def test_a_certificate_is_verified_through_the_tunnel_too(client, tls):
    provider, _ = tls
    async with ForwardProxy() as proxy:
        other = ssl.create_default_context()
        asked = client(introspection_endpoint=provider.introspection_endpoint, proxy=through(proxy), tls=other)
        result = await asked.introspect(TOKEN)
        assert isinstance(result, Indeterminate)
        assert "certificate" in result.reason
        assert provider.calls == []


async def test_the_name_of_tls_server_name_is_asked_for_through_the_tunnel(client, tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("sso.internal").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with ScriptedProvider(context) as named, ForwardProxy() as proxy:
        named.default = {"active": True}
        own = {"introspection_endpoint": named.introspection_endpoint, "proxy": through(proxy)}
        files = {"ca": str(tmp_path / "ca.pem")}
        assert isinstance(await client(**own, settings_of_tls=files).introspect(TOKEN), Indeterminate)
        with_name = client(**own, settings_of_tls={**files, "server_name": "sso.internal"})
        assert isinstance(await with_name.introspect(TOKEN), Facts)


@pytest.mark.parametrize("is_tls", [False, True])
async def test_it_is_logged_in_to_and_the_provider_does_not_learn_of_it(client, scripted, tls, is_tls, caplog):
    provider, trusting = tls if is_tls else (scripted, None)
    provider.default = {"active": True}
    async with ForwardProxy("user:hun/ter2") as proxy:
        own = {"introspection_endpoint": provider.introspection_endpoint, "tls": trusting}
        good = client(**own, proxy=through(proxy, "user:hun%2Fter2"))
        assert isinstance(await good.introspect(TOKEN), Facts)
        assert [call.header("Proxy-Authorization") for call in provider.calls] == [None]
        for login in ("", "user:another-secret"):
            result = await client(**own, proxy=through(proxy, login)).introspect(TOKEN)
            assert isinstance(result, Indeterminate)
            assert "proxy wants another user or password" in result.reason
            assert "another-secret" not in result.reason + caplog.text
        assert len(provider.calls) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
            "opens no tunnel to it",
        ),
        (b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nQUOTEME!!", "status 403"),
        (b"", "closed"),
        (b"nonsense\r\n\r\n", "not HTTP"),
    ],
)
async def test_a_proxy_that_does_not_connect_is_neither_yes_nor_no(client, tls, answer, words):
    provider, trusting = tls
    async with ForwardProxy() as proxy:
        proxy.answer = answer
        asked = client(introspection_endpoint=provider.introspection_endpoint, proxy=through(proxy), tls=trusting)
        result = await asked.introspect(TOKEN)
        assert isinstance(result, Indeterminate)
        assert words in result.reason
        assert "QUOTEME" not in result.reason
        assert provider.calls == []


async def test_a_proxy_that_is_away_is_said_to_be(client, scripted):
    async with ForwardProxy() as proxy:
        place = through(proxy, "user:hun%2Fter2")
    result = await client(introspection_endpoint=scripted.introspection_endpoint, proxy=place).introspect(TOKEN)
    assert isinstance(result, Indeterminate)
    assert "its proxy cannot be connected to" in result.reason
    assert "hun" not in result.reason
    assert scripted.calls == []


async def test_the_environment_names_no_proxy(client, scripted, monkeypatch):
    scripted.default = {"active": True}
    async with ForwardProxy() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, through(proxy))
        asked = client(introspection_endpoint=scripted.introspection_endpoint)
        assert isinstance(await asked.introspect(TOKEN), Facts)
        assert proxy.lines == []


async def test_the_deadline_counts_for_the_proxy_too(client, tls):
    provider, trusting = tls
    own = {"introspection_endpoint": provider.introspection_endpoint, "tls": trusting, "timeout": "300ms"}
    async with ForwardProxy() as proxy:
        proxy.is_silent = True
        began_s = asyncio.get_running_loop().time()
        assert isinstance(await client(**own, proxy=through(proxy)).introspect(TOKEN), Indeterminate)
        assert asyncio.get_running_loop().time() - began_s < 3
