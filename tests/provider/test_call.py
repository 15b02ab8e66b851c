import asyncio
import gc
import socket
import time
import warnings

import pytest
from support.scripted_provider import Fault, Raw, Reply

from gateway.provider.call import BODY_MAX_BYTES, Calls
from gateway.provider.errors import (
    ConnectionLostError,
    DeadlineError,
    ProviderError,
    UnreachableError,
    UnusableResponseError,
)

ACTIVE = {"active": True}


class Hangup(Reply):
    """No byte, and the end of the connection."""

    def __init__(self):
        super().__init__(close=True)

    def to_bytes(self):
        return b""


@pytest.fixture
async def calls():
    made = Calls(timeout_s=5, max_concurrency=8)
    yield made
    await made.close()


@pytest.fixture
async def hasty():
    made = Calls(timeout_s=0.3, max_concurrency=8)
    yield made
    await made.close()


async def _introspect(calls, provider, token="t"):
    return await calls.post_introspection(provider.introspection_endpoint, [("token", token)])


async def test_a_call_carries_what_it_was_given_and_nothing_of_the_environment(calls, scripted, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    await calls.post_introspection(
        scripted.introspection_endpoint, [("token", "a+/b==&c"), ("x", "ü ")], [("Authorization", "Basic eA==")]
    )
    call = scripted.calls[0]
    assert (call.method, call.path) == ("POST", "/introspect")
    assert call.body == b"token=a%2B%2Fb%3D%3D%26c&x=%C3%BC+"
    assert call.header("Authorization") == "Basic eA=="
    assert call.header("Accept") == "application/json"
    assert call.header("Accept-Encoding") == "identity"
    assert call.header("Content-Type") == "application/x-www-form-urlencoded"
    assert call.header("Content-Length") == str(len(call.body))
    assert call.header("Cookie") is None


async def test_a_cookie_of_one_answer_is_not_in_the_next_request(calls, scripted):
    scripted.default = Reply(document=ACTIVE, headers={"Set-Cookie": "SESSION=1"})
    await _introspect(calls, scripted)
    await _introspect(calls, scripted)
    assert [call.header("Cookie") for call in scripted.calls] == [None, None]


async def test_the_path_and_query_of_an_endpoint_go_out_as_written(calls, scripted):
    await calls.post_introspection(f"{scripted.url}/a%2Fb/%7Ec?x=%20y&z=%41", [])
    assert scripted.calls[0].path == "/a%2Fb/%7Ec?x=%20y&z=%41"


@pytest.mark.parametrize("status", [200, 201, 204, 400, 401, 404, 429, 500, 503])
async def test_any_status_but_a_redirect_is_an_answer(calls, scripted, status):
    scripted.default = Reply(status, body=b"" if status == 204 else b"x", headers={"Retry-After": "3"})
    reply = await _introspect(calls, scripted)
    assert (reply.status, reply.retry_after_s) == (status, 3)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
async def test_redirects_are_not_followed(calls, scripted, status):
    scripted.default = Reply(status, body=b"", headers={"Location": scripted.introspection_endpoint})
    with pytest.raises(UnusableResponseError, match="redirect"):
        await _introspect(calls, scripted)
    assert len(scripted.calls) == 1


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "GZIP", "x"])
async def test_what_is_encoded_is_refused(calls, scripted, coding):
    scripted.default = Reply(document=ACTIVE, headers={"Content-Encoding": coding})
    with pytest.raises(UnusableResponseError, match="compressed"):
        await _introspect(calls, scripted)


async def test_identity_is_not_an_encoding(calls, scripted):
    scripted.default = Reply(document=ACTIVE, headers={"Content-Encoding": "Identity"})
    assert (await _introspect(calls, scripted)).body == b'{"active": true}'


async def test_a_bomb_is_not_unpacked(calls, scripted):
    scripted.fault = Fault.GZIP_BOMB
    with pytest.raises(UnusableResponseError, match="compressed"):
        await _introspect(calls, scripted)


async def test_a_body_may_be_as_large_as_the_limit_and_no_larger(calls, scripted):
    scripted.default = b" " * BODY_MAX_BYTES
    assert len((await _introspect(calls, scripted)).body) == BODY_MAX_BYTES
    scripted.default = b" " * (BODY_MAX_BYTES + 1)
    with pytest.raises(UnusableResponseError, match="larger than 256 KiB"):
        await _introspect(calls, scripted)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.RESET, ConnectionLostError),
        (Fault.CLOSE, ConnectionLostError),
        (Fault.TRUNCATE, ConnectionLostError),
        (Fault.BAD_CHUNKS, (ConnectionLostError, UnusableResponseError)),
        (Fault.ENDLESS_BODY, UnusableResponseError),
        (Fault.ENDLESS_HEADERS, UnusableResponseError),
        (Fault.NOT_HTTP, UnusableResponseError),
        (Fault.TWO_LENGTHS, UnusableResponseError),
        (Fault.LENGTH_AND_CHUNKS, UnusableResponseError),
        (Fault.REDIRECT, UnusableResponseError),
    ],
)
async def test_a_broken_answer_is_none_and_is_not_asked_for_twice(calls, scripted, fault, expected):
    scripted.fault = fault
    with pytest.raises(expected):
        await _introspect(calls, scripted)
    assert len(scripted.calls) == 1


@pytest.mark.parametrize("fault", [Fault.SILENCE, Fault.DRIP, Fault.DRIP_HEADERS, Fault.ENDLESS_INTERIM])
async def test_one_deadline_ends_whatever_is_slow(hasty, scripted, fault):
    scripted.fault = fault
    started = time.monotonic()
    with pytest.raises(DeadlineError, match=r"within 0\.3 s"):
        await hasty.get(scripted.url)
    assert 0.2 < time.monotonic() - started < 3


async def test_the_deadline_covers_connecting(hasty):
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = []
    for _ in range(4):  # what fills the backlog; the system leaves later connections waiting
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(full.getsockname())
        waiting.append(client)
    try:
        with pytest.raises(DeadlineError):
            await hasty.get(f"http://127.0.0.1:{full.getsockname()[1]}/")
    finally:
        for each in (full, *waiting):
            each.close()


async def test_the_deadline_covers_the_wait_for_a_slot(scripted):
    calls = Calls(timeout_s=0.3, max_concurrency=1)
    scripted.fault = Fault.SILENCE
    started = time.monotonic()
    results = await asyncio.gather(*(calls.get(scripted.url) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [DeadlineError] * 3
    assert time.monotonic() - started < 3
    await calls.close()


async def test_no_more_calls_at_once_than_allowed(scripted):
    calls = Calls(timeout_s=20, max_concurrency=3)
    scripted.delay_s = 0.02
    await asyncio.gather(*(calls.get(scripted.url) for _ in range(12)))
    assert scripted.in_flight_max == 3
    await calls.close()


async def test_connections_are_kept(calls, scripted):
    for _ in range(3):
        await _introspect(calls, scripted)
    assert scripted.connections == 1


async def test_a_connection_that_was_closed_while_idle_is_not_noticed_by_the_caller(calls, scripted):
    await _introspect(calls, scripted)
    scripted.drop_connections()
    assert (await _introspect(calls, scripted)).status == 200
    assert [call.connection for call in scripted.calls] == [1, 2]


async def test_a_kept_connection_that_breaks_under_the_request_is_replaced_once(calls, scripted):
    await _introspect(calls, scripted)
    scripted.default = lambda call: Hangup() if call.connection == 1 else ACTIVE
    assert (await _introspect(calls, scripted)).body == b'{"active": true}'
    assert [call.connection for call in scripted.calls] == [1, 1, 2]


async def test_it_is_replaced_once_and_not_more(calls, scripted):
    await _introspect(calls, scripted)
    scripted.default = Hangup()
    with pytest.raises(ConnectionLostError):
        await _introspect(calls, scripted)
    assert len(scripted.calls) == 3


async def test_an_answer_that_broke_off_on_a_kept_connection_is_not_asked_for_again(calls, scripted):
    await _introspect(calls, scripted)
    scripted.fault = Fault.TRUNCATE
    with pytest.raises(ConnectionLostError):
        await _introspect(calls, scripted)
    assert len(scripted.calls) == 2


async def test_what_must_not_be_replayed_is_sent_once_on_a_connection_of_its_own(calls, scripted):
    await _introspect(calls, scripted)
    scripted.token_answer = Hangup()
    with pytest.raises(ConnectionLostError):
        await calls.post_grant(scripted.token_endpoint, [("code", "once")])
    assert [(call.path, call.connection) for call in scripted.calls] == [("/introspect", 1), ("/token", 2)]


@pytest.mark.parametrize("also", [b"", b"junk", b"HTTP/1.1 "])
async def test_bytes_on_an_idle_connection_never_become_the_next_answer(calls, scripted, also):
    await _introspect(calls, scripted, "first")
    forged = Reply(document={"active": True, "sub": "mallory"}).to_bytes()
    scripted.send_unasked(forged + also)
    scripted.answers["second"] = {"active": True, "sub": "alice"}
    assert b"alice" in (await _introspect(calls, scripted, "second")).body
    assert [call.connection for call in scripted.calls] == [1, 2]


async def test_bytes_that_arrived_while_nobody_looked_do_not_either(calls, scripted):
    await _introspect(calls, scripted, "first")
    scripted.send_unasked(Reply(document={"active": True, "sub": "mallory"}).to_bytes())
    await asyncio.sleep(0.05)
    scripted.answers["second"] = {"active": True, "sub": "alice"}
    assert b"alice" in (await _introspect(calls, scripted, "second")).body


async def test_two_answers_at_once_are_one_and_the_end(calls, scripted):
    scripted.answers["first"] = Raw(Reply(document=ACTIVE).to_bytes() * 2)
    scripted.answers["second"] = {"active": True, "sub": "alice"}
    await _introspect(calls, scripted, "first")
    assert b"alice" in (await _introspect(calls, scripted, "second")).body
    assert [call.connection for call in scripted.calls] == [1, 2]


async def test_nothing_listens(calls):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UnreachableError, match="refused"):
        await calls.get(f"http://127.0.0.1:{port}/")


async def test_a_host_that_is_not_a_name(calls):
    with pytest.raises(UnreachableError):
        await calls.get(f"http://{'a' * 70}.invalid/")


async def test_cancellation_passes_and_leaves_the_slot_free(scripted):
    calls = Calls(timeout_s=20, max_concurrency=1)
    scripted.fault = Fault.SILENCE
    task = asyncio.create_task(calls.get(scripted.url))
    await scripted.wait_for_calls()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    scripted.fault = None
    assert (await calls.get(scripted.url)).status == 200
    await calls.close()


async def test_no_call_after_close_and_those_under_way_end(scripted):
    calls = Calls(timeout_s=20, max_concurrency=8)
    scripted.fault = Fault.SILENCE
    task = asyncio.create_task(_introspect(calls, scripted))
    await scripted.wait_for_calls()
    await calls.close()
    with pytest.raises(ProviderError):
        await task
    with pytest.raises(UnreachableError, match="closed"):
        await _introspect(calls, scripted)


async def test_close_releases_everything(scripted):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        calls = Calls(timeout_s=5, max_concurrency=8)
        await _introspect(calls, scripted)
        await calls.get(scripted.url)
        await calls.close()
        del calls
        gc.collect()
        await asyncio.sleep(0.05)
    assert [str(warning.message) for warning in seen if "nclosed" in str(warning.message)] == []


async def test_an_introspection_has_neither_a_second_deadline_nor_a_second_queue(scripted):
    calls = Calls(timeout_s=0.05, max_concurrency=1, introspections_max=3)
    scripted.delay_s = 0.2
    responses = await asyncio.gather(*(_introspect(calls, scripted) for _ in range(3)))
    assert [response.status for response in responses] == [200] * 3
    assert scripted.in_flight_max == 3
    await calls.close()
