"""The doctor against real servers on loopback: what works, and everything that is set up wrongly, by its name."""

import asyncio
import base64
import datetime as dt
import json
import socket
import ssl
import time
from email.utils import formatdate

import pytest
import trustme
from redis import Redis
from support.configuration import loaded
from support.forward_proxy import ForwardProxy
from support.redis_server import RedisServer, running
from support.scripted_provider import Reply, ScriptedProvider

from gateway.authn.bearer import Token
from gateway.runtime.doctor import examine

SECRET = "0123456789abcdef"
ROUTE = "routes: [{name: a, backend: 'http://127.0.0.1:9', auth: none}]\n"


def provider_section(provider: ScriptedProvider, **more: str) -> str:
    keys = {"issuer": provider.issuer, "client_id": "gateway", "client_secret": SECRET, **more}
    return "providers:\n  sso: {" + ", ".join(f"{key}: '{value}'" for key, value in keys.items()) + "}\n"


async def diagnosed(text: str, tls: ssl.SSLContext | None = None) -> dict[str, tuple[str, str]]:
    """Grade and words of each subject, backends left out unless they are all there is."""
    started_s = time.monotonic()
    found = await examine(loaded(text), time.time(), tls)
    assert time.monotonic() - started_s < 12
    assert all("; " in one.words for one in found if one.grade != "ok")
    return {one.subject: (one.grade, one.words) for one in found if ROUTE not in text or "backend" not in one.subject}


@pytest.fixture
async def provider():
    async with ScriptedProvider() as provider:
        provider.discovery = provider.metadata()
        yield provider


async def test_a_provider_that_is_set_up_rightly_is_ok(provider: ScriptedProvider) -> None:
    provider.discovery = Reply(document=provider.metadata(), headers={"Date": formatdate(usegmt=True)})
    found = await diagnosed(provider_section(provider) + ROUTE)
    assert {subject: grade for subject, (grade, _) in found.items()} == {
        "provider sso connection": "ok",
        "provider sso clock": "ok",
        "provider sso discovery": "ok",
        "provider sso credentials": "ok",
    }
    [asked] = provider.introspections
    assert asked.token is not None
    assert len(asked.token) == 32
    assert asked.token not in str(found)


async def test_a_mapper_that_is_missing_cannot_be_seen_and_the_line_says_how_to_see_it(
    provider: ScriptedProvider,
) -> None:
    _, words = (await diagnosed(provider_section(provider) + ROUTE))["provider sso credentials"]
    assert "whether its aud names gateway and what routes ask for: gateway doctor" in words


def jwt(**claims: object) -> str:
    return ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "RS256"}, claims, {}))


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


GUARDED = (
    "routes:\n"
    "  - {name: a, match: {path: /a}, backend: 'http://127.0.0.1:9', auth: {audience: [orders]},"
    " identity: {headers: {X-Id: sub, X-Name: [preferred_username, username]}}}\n"
    "  - {name: b, match: {path: /b}, backend: 'http://127.0.0.1:9', auth: {scopes: [read]}}\n"
    "  - {name: c, match: {path: '/c/{t}'}, backend: 'http://127.0.0.1:9', auth: {claims: {tenant: '{t}'}}}\n"
)


async def diagnosed_with(provider: ScriptedProvider, token: str) -> dict[str, tuple[str, str]]:
    found = await examine(loaded(provider_section(provider) + GUARDED), time.time(), token=Token(token))
    assert token not in str(found)
    return {
        one.subject.removeprefix("provider sso "): (one.grade, one.words) for one in found if "token" in one.subject
    }


async def test_a_callers_token_shows_which_routes_take_it_and_what_is_missing(provider: ScriptedProvider) -> None:
    provider.answers["t-1"] = {"active": True, "sub": "alice", "aud": ["orders", "gateway"], "scope": "email"}
    found = await diagnosed_with(provider, "t-1")
    assert found["token"] == ("ok", "it is active, and 2 of 3 routes take it")
    assert found["token, route b"][0] == "warning"
    assert "scope is [email], all of [read] wanted; have the caller's client ask" in found["token, route b"][1]
    assert "no X-Name, for the token has no preferred_username or username; " in found["token, X-Name"][1]
    assert "token, X-Id" not in found


async def test_a_callers_token_without_our_name_in_aud_is_explained(provider: ScriptedProvider) -> None:
    token = jwt(iss=provider.issuer, exp=time.time() + 300, aud="account")
    grade, words = (await diagnosed_with(provider, token))["token"]
    assert grade == "FAIL"
    assert "its aud is [account]" in words
    assert "add gateway to it, with an audience mapper" in words


async def test_a_callers_token_of_another_issuer_is_asked_of_nobody(provider: ScriptedProvider) -> None:
    found = await diagnosed_with(provider, jwt(iss="https://sso.example.com", exp=time.time() + 300))
    assert list(found) == ["token"]
    assert "its iss is 'https://sso.example.com'; obtain one" in found["token"][1]
    assert len(provider.introspections) == 1  # the random one


async def test_an_opaque_token_that_is_inactive(provider: ScriptedProvider) -> None:
    grade, words = (await diagnosed_with(provider, "opaque"))["token"]
    assert grade == "FAIL"
    assert "calls it inactive; obtain a new one" in words


async def test_a_client_without_a_service_account_is_no_fault(provider: ScriptedProvider) -> None:
    provider.token_answer = Reply(401, {"error": "unauthorized_client"})
    assert (await diagnosed(provider_section(provider) + ROUTE))["provider sso credentials"][0] == "ok"
    assert [call for call in provider.calls if call.path == "/token"] == []


# Keycloak answers each introspection that it refuses like this, whatever the reason.
KEYCLOAK_NO = Reply(401, {"error": "invalid_request", "error_description": "Authentication failed."})


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            Reply(401, {"error": "unauthorized_client", "error_description": "Invalid client or Invalid client"}),
            "Inval",
        ),
        (Reply(401, {"error": "invalid_client", "error_description": "Client disabled"}), "Client disabled"),
        (Reply(401, {"error": "invalid_client", "error_description": f"not {SECRET}"}), "not …"),
        (Reply(200, {"access_token": "t", "token_type": "Bearer"}), "takes our credentials, so the client may not"),
    ],
    ids=["wrong secret", "disabled client", "a provider that repeats the secret", "may not introspect"],
)
async def test_credentials_that_are_refused_are_explained_by_the_token_endpoint(
    provider: ScriptedProvider, said: Reply, words: str
) -> None:
    provider.default, provider.token_answer = KEYCLOAK_NO, said
    grade, told = (await diagnosed(provider_section(provider) + ROUTE))["provider sso credentials"]
    assert grade == "FAIL"
    assert "status 401" in told
    assert "check client_id, client_auth and its secret" in told
    assert words in told
    assert SECRET not in told


async def test_a_provider_that_calls_everything_active_fails(provider: ScriptedProvider) -> None:
    provider.default = {"active": True}
    grade, words = (await diagnosed(provider_section(provider) + ROUTE))["provider sso credentials"]
    assert grade == "FAIL"
    assert "calls a random token active" in words


async def test_a_realm_that_is_not_there_is_a_discovery_that_is_404(provider: ScriptedProvider) -> None:
    provider.discovery = None
    found = await diagnosed(provider_section(provider) + ROUTE)
    grade, words = found["provider sso discovery"]
    assert grade == "FAIL"
    assert "status 404; check issuer, its realm and its path: " in words
    assert f"{provider.issuer}/.well-known/openid-configuration" in words
    assert "provider sso credentials" not in found  # a consequence


async def test_another_issuer_is_named(provider: ScriptedProvider) -> None:
    provider.discovery = provider.metadata(issuer="https://sso.example.com/realms/test")
    grade, words = (await diagnosed(provider_section(provider) + ROUTE))["provider sso discovery"]
    assert grade == "FAIL"
    assert "'https://sso.example.com/realms/test'; write exactly that" in words


@pytest.mark.parametrize("apart_s", [-3600, -6, 6, 90])
async def test_a_clock_that_is_apart_is_a_warning(provider: ScriptedProvider, apart_s: int) -> None:
    date = formatdate(time.time() + apart_s, usegmt=True)
    provider.discovery = Reply(document=provider.metadata(), headers={"Date": date})
    grade, words = (await diagnosed(provider_section(provider) + ROUTE))["provider sso clock"]
    assert grade == "warning"
    assert ("ahead of" if apart_s > 0 else "behind") in words


async def test_a_provider_that_is_not_there_fails_once(provider: ScriptedProvider) -> None:
    text = provider_section(provider) + ROUTE
    await provider.stop()
    found = await diagnosed(text)
    assert list(found) == ["provider sso connection"]
    assert "refused the connection; check the address" in found["provider sso connection"][1]


async def test_an_endpoint_that_is_named_is_asked_without_discovery(provider: ScriptedProvider) -> None:
    provider.discovery = None
    text = provider_section(provider, introspection_endpoint=provider.introspection_endpoint) + ROUTE
    assert "provider sso discovery" not in (found := await diagnosed(text))
    assert found["provider sso credentials"][0] == "ok"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize(
    ("days", "grade", "words"),
    [(100, "ok", "the certificate ends on"), (10, "warning", "renew it")],
)
async def test_the_end_of_a_providers_certificate_is_told(
    authority: trustme.CA, days: int, grade: str, words: str
) -> None:
    end = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    async with ScriptedProvider(serving(authority.issue_cert("localhost", not_after=end))) as provider:
        provider.discovery = provider.metadata()
        found = await diagnosed(provider_section(provider) + ROUTE, trusting(authority))
    assert found["provider sso credentials"][0] == "ok"
    assert found["provider sso certificate"][0] == grade
    assert words in found["provider sso certificate"][1]


async def test_a_certificate_that_nobody_trusts_names_openssls_reason(authority: trustme.CA) -> None:
    async with ScriptedProvider(serving(authority.issue_cert("localhost"))) as provider:
        found = await diagnosed(provider_section(provider) + ROUTE)
    assert list(found) == ["provider sso connection"]
    grade, words = found["provider sso connection"]
    assert grade == "FAIL"
    assert "is not trusted: " in words
    assert "name its authority's file as tls.ca" in words


async def test_http_behind_https_is_named() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    found = await diagnosed(f"routes: [{{name: a, auth: none, backend: 'https://127.0.0.1:{port}'}}]")
    server.close()
    [(grade, words)] = found.values()
    assert grade == "FAIL"
    assert "where it speaks plain HTTP, write http://" in words


async def test_each_backend_is_tried_once_and_a_dead_one_fails(provider: ScriptedProvider) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gone = f"http://127.0.0.1:{taken.getsockname()[1]}"
    text = (
        f"routes: [{{name: a, match: {{path: /a}}, auth: none, backend: ['{provider.url}', '{gone}']}}, "
        f"{{name: b, auth: none, backend: '{provider.url}'}}]"
    )
    found = await diagnosed(text)
    assert {subject: grade for subject, (grade, _) in found.items()} == {
        f"backend {provider.url}": "ok",
        f"backend {gone}": "FAIL",
    }


async def test_what_swallows_connections_is_given_5_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        found = await diagnosed(
            f"providers: {{sso: {{issuer: '{url}', client_id: g, client_secret: {SECRET}}}}}\n{ROUTE}"
        )
    assert "does not answer within 5 s" in found["provider sso connection"][1]


def redis_section(url: str) -> str:
    return f"cache: {{redis: '{url}', secret: {SECRET}}}\n{ROUTE}"


@pytest.fixture(scope="module")
def redis_server():
    server = RedisServer(password="hush-hush")
    with running(server):
        with server.client() as client:
            rights = "~gateway:* &gateway:* -@all +@read +@write +@scripting +@pubsub +@connection"
            client.execute_command("ACL", "SETUSER", "whole", "on", ">whole-pass", *rights.split(), "+time")
            client.execute_command("ACL", "SETUSER", "half", "on", ">half-pass", "~gateway:*", "+@read", "+@connection")
        yield server


def redis_url(server: RedisServer, login: str) -> str:
    return f"redis://{login}127.0.0.1:{server.port}/0"


async def test_a_redis_with_all_rights_is_ok_and_nothing_is_left_in_it(redis_server: RedisServer) -> None:
    found = await diagnosed(redis_section(redis_url(redis_server, "whole:whole-pass@")))
    assert {subject: grade for subject, (grade, _) in found.items()} == {
        "redis connection": "ok",
        "redis rights": "ok",
        "redis clock": "ok",
    }
    with redis_server.client() as client:
        assert client.keys() == []


@pytest.mark.parametrize(
    ("login", "subject", "words"),
    [
        ("", "redis connection", "refuses the login"),
        (":wrong-pass@", "redis connection", "refuses the login"),
        ("half:half-pass@", "redis rights", "may not run SET, PEXPIRE, EVAL, XADD, UNLINK, PUBLISH, SUBSCRIBE on"),
    ],
)
async def test_a_login_or_a_right_that_is_missing_is_named(
    redis_server: RedisServer, login: str, subject: str, words: str
) -> None:
    found = await diagnosed(redis_section(redis_url(redis_server, login)))
    assert list(found)[-1] == subject
    assert found[subject][0] == "FAIL"
    assert words in found[subject][1]
    assert not login or login.strip(":@").rpartition(":")[2] not in str(found)


async def test_a_redis_that_is_not_there_or_stands_still_fails_in_time(redis_server: RedisServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead = taken.getsockname()[1]
    assert (await diagnosed(redis_section(f"redis://127.0.0.1:{dead}")))["redis connection"][0] == "FAIL"
    redis_server.pause()
    try:
        found = await diagnosed(redis_section(redis_url(redis_server, "whole:whole-pass@")))
    finally:
        redis_server.resume()
    assert [grade for grade, _ in found.values()] == ["FAIL"]
    with Redis(port=redis_server.port, password="hush-hush") as client:
        assert client.ping()


async def test_the_listeners_own_certificate_is_looked_at(authority: trustme.CA, tmp_path) -> None:
    leaf = authority.issue_cert("localhost", not_after=dt.datetime.now(dt.UTC) + dt.timedelta(days=3))
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    tls = f"{{certificate: '{tmp_path}/cert.pem', key: '{tmp_path}/key.pem'}}"
    assert (await diagnosed(f"server: {{tls: {tls}}}\n{ROUTE}"))["server.tls certificate"][0] == "warning"


async def test_answers_are_asked_for_as_the_file_says(provider: ScriptedProvider) -> None:
    """An unsigned answer is none where signed ones are asked for, whatever it says."""
    provider.keys = {"keys": []}
    section = provider_section(provider).replace("}", ", introspection: {accept: jwt, headers: {X-Api-Key: k3y}}}")
    grade, words = (await diagnosed(section + ROUTE))["provider sso credentials"]
    assert grade == "FAIL"
    assert "RFC 9701" in words
    [asked] = provider.introspections
    assert (asked.header("Accept"), asked.header("X-Api-Key")) == ("application/token-introspection+jwt", "k3y")


async def test_our_own_token_is_fetched_as_for_callers(provider: ScriptedProvider) -> None:
    provider.token_answer = {"access_token": "own", "token_type": "Bearer"}
    section = provider_section(provider).replace("}", ", introspection: {auth: bearer}}")
    assert (await diagnosed(section + ROUTE))["provider sso credentials"][0] == "ok"
    assert provider.introspections[0].header("Authorization") == "Bearer own"


async def test_metadata_that_does_not_name_our_way_is_a_warning(provider: ScriptedProvider) -> None:
    provider.discovery = provider.metadata(introspection_endpoint_auth_methods_supported=["private_key_jwt"])
    found = await diagnosed(provider_section(provider) + ROUTE)
    assert found["provider sso metadata"][0] == "warning"
    assert "private_key_jwt, and not client_secret_basic" in found["provider sso metadata"][1]
    assert found["provider sso credentials"][0] == "ok"


async def test_the_proxy_is_gone_through_and_its_login_not_shown(provider: ScriptedProvider) -> None:
    async with ForwardProxy("user:hun/ter2") as proxy:
        place = f"127.0.0.1:{proxy.port}"
        found = await diagnosed(provider_section(provider, proxy=f"http://user:hun%2Fter2@{place}") + ROUTE)
        assert {grade for grade, _ in found.values()} == {"ok"}
        assert len(proxy.lines) == len(provider.calls) > 0
        found = await diagnosed(provider_section(provider, proxy=f"http://user:other-secret@{place}") + ROUTE)
        assert "proxy wants another user or password" in found["provider sso discovery"][1]
    found = await diagnosed(provider_section(provider, proxy=f"http://user:other-secret@{place}") + ROUTE)
    assert found["provider sso connection"][0] == "FAIL"
    assert "its proxy" in found["provider sso connection"][1]
    assert "other-secret" not in str(found)
