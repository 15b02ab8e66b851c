"""`gateway doctor` against a Keycloak that is set up wrongly in ten ways: each is named, with what to do."""

import asyncio
import json
import re
import secrets
import socket
import ssl
import time
from contextlib import suppress
from email.utils import formatdate

import pytest
import trustme
from support.configuration import loaded

from gateway.authn.bearer import Token
from gateway.runtime.doctor import examine

NAMED_WITHIN_S = 5.0
RUN = secrets.token_hex(3)  # a Keycloak may outlive a run, and its clients with it
SECRET = "demo-gateway-secret"


def document(keycloak, route=None, **provider):
    known = {"issuer": keycloak.issuer, "client_id": "gateway", "client_secret": SECRET, "timeout": "4s", **provider}
    asks = {"name": "r", "match": {"path": "/**"}, "backend": keycloak.server, **(route or {})}
    return {"providers": {"sso": known}, "routes": [asks]}


@pytest.fixture
def doctor():
    """Its lines by their subjects; they have to be there in time."""

    async def run(document, token=None):
        began = time.monotonic()
        found = await examine(loaded(json.dumps(document)), time.time(), token=None if token is None else Token(token))
        assert time.monotonic() - began < NAMED_WITHIN_S
        assert SECRET not in str(found)
        return {one.subject.removeprefix("provider sso "): (one.grade, one.words) for one in found}

    return run


async def caller(register, administer, client_id, mappers=(), **keys):
    """A client of the realm that gets tokens for alice, with these protocol mappers and no others."""
    await register(
        client_id,
        secret="caller-secret",
        directAccessGrantsEnabled=True,
        fullScopeAllowed=False,
        defaultClientScopes=["basic"],
        optionalClientScopes=[],
        protocolMappers=list(mappers),
        **keys,
    )


async def alices_token(http, keycloak, client_id):
    form = {"grant_type": "password", "client_id": client_id, "client_secret": "caller-secret"}
    url = f"{keycloak.issuer}/protocol/openid-connect/token"
    async with http.post(url, data={**form, "username": "alice", "password": "alice"}) as answer:
        assert answer.status == 200, await answer.text()
        return (await answer.json())["access_token"]


def audience(name):
    config = {"included.custom.audience": name, "access.token.claim": "true", "introspection.token.claim": "true"}
    return {
        "name": f"to {name}",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": config,
    }


async def test_all_is_well(doctor, keycloak):
    found = await doctor(document(keycloak))
    assert {grade for grade, _ in found.values()} == {"ok"}, found


async def test_1_a_caller_without_the_mapper_that_names_the_gateway(doctor, keycloak, register, administer, http):
    await caller(register, administer, f"no-mapper-{RUN}")
    grade, words = (await doctor(document(keycloak), await alices_token(http, keycloak, f"no-mapper-{RUN}")))["token"]
    assert grade == "FAIL"
    assert "add gateway to it, with an audience mapper" in words


async def test_2_a_wrong_secret(doctor, keycloak):
    grade, words = (await doctor(document(keycloak, client_secret="not-the-secret")))["credentials"]
    assert grade == "FAIL"
    assert "check client_id, client_auth and its secret" in words
    assert "Invalid client" in words


async def test_3_another_issuer(doctor, keycloak):
    grade, words = (await doctor(document(keycloak, issuer=keycloak.other_url)))["discovery"]
    assert grade == "FAIL"
    assert f"{keycloak.issuer!r}; write exactly that" in words


async def test_4_a_clock_that_is_apart(doctor, keycloak, clock_ahead):
    grade, words = (await doctor(document(keycloak, timeout="2s", **clock_ahead)))["clock"]
    assert grade == "warning"
    assert re.match("9[0-4] s ahead of ours; let NTP set the clocks", words)


async def test_5_tls_that_nobody_trusts(doctor, keycloak, behind_tls):
    grade, words = (await doctor(document(keycloak, issuer=behind_tls)))["connection"]
    assert grade == "FAIL"
    assert "unable to get local issuer certificate" in words or "self" in words
    assert "tls.ca" in words


async def test_6_a_client_that_is_disabled(doctor, keycloak, register):
    await register(f"disabled-{RUN}", secret="s" * 20, enabled=False)
    grade, words = (await doctor(document(keycloak, client_id=f"disabled-{RUN}", client_secret="s" * 20)))[
        "credentials"
    ]
    assert grade == "FAIL"
    assert "a client that is disabled" in words


async def test_7_lightweight_tokens(doctor, keycloak, register, administer, http):
    attributes = {"client.use.lightweight.access.token.enabled": "true"}
    await caller(register, administer, f"lightweight-{RUN}", [audience("gateway")], attributes=attributes)
    route = {"identity": {"headers": {"X-Id": "sub", "X-Name": "preferred_username"}}}
    found = await doctor(document(keycloak, route), await alices_token(http, keycloak, f"lightweight-{RUN}"))
    assert found["token"][0] == "ok", found
    grade, words = found["token, X-Name"]
    assert grade == "warning"
    assert "the token has no preferred_username; " in words
    assert "Add to token introspection" in words


async def test_8_no_service_account_is_no_fault(doctor, keycloak, register):
    await register(f"no-account-{RUN}", secret="s" * 20, serviceAccountsEnabled=False)
    found = await doctor(document(keycloak, client_id=f"no-account-{RUN}", client_secret="s" * 20))
    assert found["credentials"][0] == "ok"  # introspection needs none


async def test_8_no_service_account_where_our_own_token_is_to_be_shown(doctor, keycloak, register):
    await register(f"no-account-2-{RUN}", secret="s" * 20, serviceAccountsEnabled=False)
    keys = {"client_id": f"no-account-2-{RUN}", "client_secret": "s" * 20, "introspection": {"auth": "bearer"}}
    grade, words = (await doctor(document(keycloak, **keys)))["credentials"]
    assert grade == "FAIL"
    assert "service account" in words.lower()


async def test_9_a_realm_that_is_not_there(doctor, keycloak):
    grade, words = (await doctor(document(keycloak, issuer=keycloak.issuer.replace("/demo", "/dmeo"))))["discovery"]
    assert grade == "FAIL"
    assert "status 404" in words
    assert "check issuer, its realm and its path" in words


async def test_10_a_token_for_another_audience(doctor, keycloak, register, administer, http):
    await caller(register, administer, f"elsewhere-{RUN}", [audience("gateway"), audience("billing")])
    text = document(keycloak, {"auth": {"audience": ["orders-api"]}})
    grade, words = (await doctor(text, await alices_token(http, keycloak, f"elsewhere-{RUN}")))["token, route r"]
    assert grade == "FAIL"  # no route takes it
    assert "orders-api" in words
    assert "billing" in words
    assert "an audience mapper of the caller's client" in words


@pytest.fixture
async def clock_ahead(keycloak):
    """Keycloak behind a relay that sets its `Date` ahead, as if its machine's clock were."""
    host, _, port = keycloak.server.removeprefix("http://").rpartition(":")

    tasks = []

    async def relay(reader, writer):
        tasks.append(asyncio.current_task())
        theirs_in, theirs_out = await asyncio.open_connection(host, int(port))
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            theirs_out.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            status, *lines = (await theirs_in.readuntil(b"\r\n\r\n")).split(b"\r\n")
            date = b"Date: " + formatdate(time.time() + 90, usegmt=True).encode()
            kept = [line for line in lines if not line.lower().startswith(b"date:")]
            writer.write(b"\r\n".join([status, date, *kept]) + await theirs_in.read())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # a connection without a request
        finally:
            for end in (writer, theirs_out):
                end.close()
                with suppress(ConnectionError):
                    await end.wait_closed()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/realms/demo/protocol/openid-connect/token/introspect"
    yield {"introspection_endpoint": url}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    server.close()
    await server.wait_closed()


@pytest.fixture
async def behind_tls(keycloak):
    """A TLS server before it, whose authority nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    sock = socket.create_server(("127.0.0.1", 0))
    server = await asyncio.start_server(lambda _, writer: writer.close(), sock=sock, ssl=context)
    yield f"https://localhost:{sock.getsockname()[1]}/realms/demo"
    server.close()
    await server.wait_closed()
