import ssl

import pytest
import trustme
from support.scripted_provider import ScriptedProvider

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Indeterminate

TOKEN = Token("t")
# Of `providers.NAME.tls`, with the files of `TestSettings`.
ALL = {"ca": "ca.pem", "certificate": "cert.pem", "key": "key.pem", "server_name": "sso.internal"}


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


class TestSettings:
    """`providers.NAME.tls`, with files, against a server that demands a certificate of its clients."""

    @pytest.fixture
    def files(self, tmp_path):
        """The authority of the server, another one, and a certificate for the gateway."""
        server, clients = trustme.CA(), trustme.CA()
        pair = clients.issue_cert("gateway")
        pair.private_key_pem.write_to_path(tmp_path / "key.pem")
        (tmp_path / "cert.pem").write_bytes(pair.cert_chain_pems[0].bytes())
        server.cert_pem.write_to_path(tmp_path / "ca.pem")
        clients.cert_pem.write_to_path(tmp_path / "other.pem")
        return tmp_path, server, clients

    @pytest.fixture
    async def demanding(self, files):
        """Has a certificate for `sso.internal` alone, though it is reached as `localhost`."""
        _, server, clients = files
        context = serving(server.issue_cert("sso.internal"))
        context.verify_mode = ssl.CERT_REQUIRED
        clients.configure_trust(context)
        provider = ScriptedProvider(context)
        provider.default = {"active": True}
        await provider.start()
        yield provider
        await provider.stop()

    def asked(self, client, demanding, files, **more):
        """A client with all four keys but for `more`; None leaves one out."""
        given = {name: value for name, value in {**ALL, **more}.items() if value is not None}
        folder = files[0]
        tls = {name: value if name == "server_name" else str(folder / value) for name, value in given.items()}
        return client(introspection_endpoint=demanding.introspection_endpoint, settings_of_tls=tls)

    async def test_authority_certificate_and_name_are_used(self, client, demanding, files):
        assert isinstance(await self.asked(client, demanding, files).introspect(TOKEN), Facts)
        assert len(demanding.calls) == 1

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ({"ca": "other.pem"}, "certificate"),
            ({"ca": None}, "certificate"),
            ({"server_name": None}, "certificate"),
            ({"server_name": "sso.example.com"}, "certificate"),
            ({"certificate": None, "key": None}, ""),
        ],
        ids=str,
    )
    async def test_without_one_of_them_it_is_not_asked(self, client, demanding, files, more, words):
        answer = await self.asked(client, demanding, files, **more).introspect(TOKEN)
        assert isinstance(answer, Indeterminate)
        assert words in answer.reason
        assert demanding.calls == []
