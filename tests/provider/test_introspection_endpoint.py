import asyncio
import json
import time

import pytest
from support.scripted_provider import Fault, Raw, Reply

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, Indeterminate
from gateway.http.strict_json import DEPTH_MAX
from gateway.provider.errors import UnusableResponseError

TOKEN = Token("eyJhbGciOiJub25lIn0.secret+/==")


@pytest.fixture
def provider(client, scripted):
    return client(introspection_endpoint=scripted.introspection_endpoint)


async def test_an_active_token_is_facts_as_of_the_moment_of_asking(provider, scripted):
    document = {"active": True, "sub": "alice", "scope": "orders:read orders:write", "exp": 4_000_000_000}
    scripted.answers[TOKEN.value] = document
    scripted.delay_s = 0.2
    before = time.time()
    answer = await provider.introspect(TOKEN)
    assert isinstance(answer, Facts)
    assert answer.claims == document
    assert answer.scopes == {"orders:read", "orders:write"}
    assert before <= answer.introspected_at < before + 0.2


async def test_the_token_is_escaped_exactly_and_hinted(provider, scripted):
    await provider.introspect(TOKEN)
    call = scripted.calls[0]
    assert call.body == b"token=eyJhbGciOiJub25lIn0.secret%2B%2F%3D%3D&token_type_hint=access_token"
    assert call.token == TOKEN.value


@pytest.mark.parametrize(
    "document",
    [{"active": False}, {"active": False, "sub": "alice", "scope": "orders:read"}, {"active": True, "typ": "Refresh"}],
)
async def test_inactive_is_inactive_whatever_else_is_said(provider, scripted, document):
    scripted.default = document
    assert isinstance(await provider.introspect(TOKEN), Inactive)


UNCLEAR_DOCUMENTS = {
    "active is a text": {"active": "true"},
    "active is a number": {"active": 1},
    "active is null": {"active": None},
    "active is missing": {"sub": "alice"},
    "an empty object": {},
    "a list": b'[{"active": true}]',
    "a text": b'"active"',
    "true": b"true",
    "null": b"null",
    "nothing": b"",
    "blanks": b"   ",
    "not JSON": b"active=true",
    "half of it": b'{"active": true',
    "something after it": b'{"active": true} {"active": true}',
    "a name twice": b'{"active": false, "active": true}',
    "NaN": b'{"active": true, "exp": NaN}',
    "infinity": b'{"active": true, "exp": 1e999}',
    "exp is a text": {"active": True, "exp": "4000000000"},
    "exp is negative": {"active": True, "exp": -1},
    "exp in milliseconds": {"active": True, "exp": 4_000_000_000_000},
    "exp is a boolean": {"active": True, "exp": True},
    "exp is absurdly long": b'{"active": true, "exp": ' + b"9" * 5000 + b"}",
    "nbf is a list": {"active": True, "nbf": [1]},
    "scope is a list": {"active": True, "scope": ["orders:read"]},
    "UTF-16": '{"active": true}'.encode("utf-16"),
    "Latin-1": '{"active": true, "name": "\xfc"}'.encode("latin-1"),
    "a byte order mark": b'\xef\xbb\xbf{"active": true}',
    "too deep": b'{"active": true, "x": ' + b"[" * DEPTH_MAX + b"]" * DEPTH_MAX + b"}",
    "endlessly deep": b"[" * 200_000,
    "too large": json.dumps({"active": True, "x": "a" * 300_000}).encode(),
}


@pytest.mark.parametrize("document", UNCLEAR_DOCUMENTS.values(), ids=UNCLEAR_DOCUMENTS)
async def test_nonsense_is_unclear(provider, scripted, document):
    scripted.default = document
    answer = await provider.introspect(TOKEN)
    assert isinstance(answer, Indeterminate)
    assert len(scripted.calls) == 1


@pytest.mark.parametrize("status", [201, 202, 203, 204, 206, 400, 401, 403, 404, 405, 429, 500, 502, 503, 504])
async def test_another_status_is_unclear_even_with_a_good_document(provider, scripted, status):
    body = b"" if status == 204 else b'{"active": true}'
    scripted.default = Reply(status, body=body)
    answer = await provider.introspect(TOKEN)
    assert isinstance(answer, Indeterminate)
    assert str(status) in answer.reason


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_being_refused_ourselves_says_what_to_check(provider, scripted, status):
    scripted.default = Reply(status, {"error": "invalid_client"})
    assert "client_id" in (await provider.introspect(TOKEN)).reason


@pytest.mark.parametrize("status", [429, 503])
async def test_what_the_provider_asks_for_is_passed_on(provider, scripted, status):
    scripted.default = Reply(status, {}, headers={"Retry-After": "7"})
    assert (await provider.introspect(TOKEN)).retry_after_s == 7


@pytest.mark.parametrize("fault", Fault)
async def test_no_fault_becomes_a_yes_or_an_exception(client, scripted, fault):
    provider = client(introspection_endpoint=scripted.introspection_endpoint, timeout="500ms")
    scripted.fault = fault
    scripted.default = {"active": True}
    started = time.monotonic()
    answer = await provider.introspect(TOKEN)
    assert isinstance(answer, Indeterminate)
    assert answer.reason
    assert time.monotonic() - started < 5
    assert len(scripted.calls) <= 2  # what may have been an accident is tried once more
    scripted.fault = None
    assert isinstance(await provider.introspect(TOKEN), Facts)


async def test_only_a_status_line_is_unclear(provider, scripted):
    scripted.default = Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert isinstance(await provider.introspect(TOKEN), Indeterminate)


async def test_no_reason_quotes_the_token_the_secret_or_the_answer(client, scripted, caplog):
    provider = client(
        introspection_endpoint=scripted.introspection_endpoint, client_secret="TOPSECRET", timeout="300ms"
    )
    for answer in (b"QUOTEME", {"active": "QUOTEME"}, Reply(500, {"error": "QUOTEME"}), Raw(b"QUOTEME\r\n\r\n")):
        scripted.default = answer
        reason = (await provider.introspect(TOKEN)).reason
        assert not [word for word in ("QUOTEME", TOKEN.value, "TOPSECRET") if word in reason + caplog.text]


async def test_cancellation_passes(provider, scripted):
    scripted.fault = Fault.SILENCE
    task = asyncio.create_task(provider.introspect(TOKEN))
    await scripted.wait_for_calls()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_document_is_given_as_it_came(provider, scripted):
    scripted.default = {"active": False, "hint": ["x"]}
    assert await provider.introspection_document(TOKEN) == {"active": False, "hint": ["x"]}
    scripted.default = Reply(500, {})
    with pytest.raises(UnusableResponseError):
        await provider.introspection_document(TOKEN)
