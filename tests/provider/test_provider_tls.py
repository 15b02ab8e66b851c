import ssl

import pytest
import trustme
from support.scripted_provider import ScriptedProvider

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Indeterminate

TOKEN = Token("t")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def serving(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
async def provider_with():
    started = []

    async def start(certificate):
        provider = ScriptedProvider(serving(certificate))
        provider.default = {"active": True}
        await provider.start()
        started.append(provider)
        return provider

    yield start
    for each in started:
        await each.stop()


async def test_a_certificate_of_a_trusted_authority_will_do(client, provider_with, authority):
    provider = await provider_with(authority.issue_cert("localhost"))
    asked = client(introspection_endpoint=provider.introspection_endpoint, tls=trusting(authority))
    assert isinstance(await asked.introspect(TOKEN), Facts)


async def test_another_authoritys_will_not(client, provider_with, authority):
    provider = await provider_with(trustme.CA().issue_cert("localhost"))
    asked = client(introspection_endpoint=provider.introspection_endpoint, tls=trusting(authority))
    answer = await asked.introspect(TOKEN)
    assert isinstance(answer, Indeterminate)
    assert "certificate" in answer.reason
    assert provider.calls == []


async def test_nor_one_for_another_name(client, provider_with, authority):
    provider = await provider_with(authority.issue_cert("sso.example.com"))
    asked = client(introspection_endpoint=provider.introspection_endpoint, tls=trusting(authority))
    assert isinstance(await asked.introspect(TOKEN), Indeterminate)
    assert provider.calls == []


async def test_certificates_are_checked_where_nothing_is_said_of_them(client, provider_with, authority):
    provider = await provider_with(authority.issue_cert("localhost"))
    asked = client(introspection_endpoint=provider.introspection_endpoint)
    assert isinstance(await asked.introspect(TOKEN), Indeterminate)
    assert provider.calls == []


async def test_a_server_that_speaks_no_tls(client, scripted):
    endpoint = scripted.introspection_endpoint.replace("http:", "https:")
    asked = client(introspection_endpoint=endpoint, timeout="300ms")
    assert isinstance(await asked.introspect(TOKEN), Indeterminate)
    assert scripted.calls == []
