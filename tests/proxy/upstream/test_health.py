"""Health questions: what a row of answers means, and what counts as a good one."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from support.backend import CLOSE, HANG, RESET, Backend, chunked, ok, script

from gateway.config.addresses import parse_backend
from gateway.proxy.upstream.health import HealthRow, what_is_wrong
from gateway.proxy.upstream.pools import UpstreamPools


@pytest.mark.parametrize(
    ("heard", "changes"),
    [
        ("+++", "..."),
        ("---", "..x"),
        ("--+--", "....."),  # a row is a row
        ("----", "..x."),
        ("---++", "..x.x"),
        ("---+-++", "..x...x"),
        ("---++--", "..x.x.."),
        ("---++---", "..x.x..x"),
    ],
)
def test_a_row_of_answers_changes_what_is_believed(heard, changes):
    row = HealthRow(healthy_after=2, unhealthy_after=3)
    assert "".join("x" if row.heard(is_good=each == "+") else "." for each in heard) == changes


@asynccontextmanager
async def asked(url, path="/healthz", timeout_s=5.0):
    pools = UpstreamPools(lambda: 10)
    try:
        yield await what_is_wrong(pools, parse_backend(url), path, timeout_s)
    finally:
        pools.close()


@pytest.mark.parametrize("answer", [ok(b"fine"), ok(status="204 No Content"), chunked(b"x"), ok(b"x" * 70_000)])
async def test_2xx_is_well(backend, answer):
    backend.default = script(answer)
    async with asked(backend.url + "/prefix") as wrong:
        assert wrong is None
    [seen] = backend.requests
    assert (seen.method, seen.target) == ("GET", "/healthz")  # without the prefix of the URL
    assert seen.value("Host") == f"127.0.0.1:{backend.port}"


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((ok(status="503 Service Unavailable"),), "/healthz is answered 503"),
        ((ok(status="302 Found"),), "/healthz is answered 302"),
        ((HANG,), "no answer to /healthz within 0.2 s"),
        ((RESET,), "ended"),
        ((CLOSE,), "ended"),
        ((b"SSH-2.0-x\r\n", HANG), "it does not speak HTTP"),
    ],
)
async def test_all_else_is_not(backend, steps, told):
    backend.default = script(*steps)
    async with asked(backend.url, timeout_s=0.2) as wrong:
        assert wrong is not None
        assert told in wrong or told == "ended"


async def test_nor_is_one_that_nobody_reaches(backend):
    await backend.stop()
    async with asked(backend.url) as wrong:
        assert wrong == f"127.0.0.1:{backend.port} refused the connection"


async def test_each_question_has_a_connection_of_its_own_and_leaves_none(backend):
    for _ in range(2):
        async with asked(backend.url):
            pass
    assert len(backend.connections) == 2
    await asyncio.gather(*(one.wait_ended() for one in backend.connections))


async def test_one_that_is_asked_takes_no_place_in_the_pool():
    other = Backend()
    await other.start()
    pools = UpstreamPools(lambda: 1)
    place = parse_backend(other.url)
    connection = await pools.pool(place).acquire(5.0)
    try:
        assert await what_is_wrong(pools, place, "/", 5.0) is None
    finally:
        connection.abandon()
        pools.close()
        await other.stop()
