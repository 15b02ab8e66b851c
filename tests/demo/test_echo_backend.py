import asyncio
import json

import aiohttp
import pytest

from gateway.demo.echo_backend import EchoBackend


@pytest.fixture
async def backend():
    echo = EchoBackend()
    await echo.start()
    yield echo
    await echo.stop()


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def test_it_answers_with_the_request_that_reached_it(backend, http):
    url = f"http://127.0.0.1:{backend.port}/a/%7Eb"
    async with http.post(f"{url}?q=1%202", data=b"hello", headers={"X-One": "1"}) as response:
        seen = await response.json()
    assert (seen["method"], seen["body"], seen["headers"]["X-One"]) == ("POST", "hello", "1")
    assert backend.requests == 1


async def test_the_path_is_shown_as_it_came_and_fields_of_one_name_are_joined(backend):
    reader, writer = await asyncio.open_connection("127.0.0.1", backend.port)
    writer.write(b"GET /a//%2e%2E?x=%zz HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    seen = json.loads(body)
    assert seen["path"] == "/a//%2e%2E?x=%zz"
    assert seen["headers"]["X-A"] == "1, 2"
    assert "body" not in seen


async def test_it_listens_only_on_loopback(backend):
    assert [address[0] for address in backend._runner.addresses] == ["127.0.0.1"]


async def test_a_taken_port_is_an_error_and_leaves_nothing_open(backend):
    second = EchoBackend(backend.port)
    with pytest.raises(OSError, match="address already in use"):
        await second.start()
    await second.stop()
