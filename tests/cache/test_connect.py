"""Each kind of Redis for real: with a password, over TLS, a Unix socket, a cluster, and Sentinels that fail over."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from support.redis_server import RedisServer, can_do_tls, cluster, redis_version, running, watched_by_sentinel

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts
from gateway.cache.key import HmacKeys
from gateway.cache.redis import RedisTier
from gateway.config.redis_url import parse_redis_url
from gateway.introspection.invalidation import ClaimSelector
from gateway.introspection.ports import Absent, Recalled
from gateway.introspection.tag_purge import TagPurge, purge_of

REALM = "https://sso.example.com"
KEYS = HmacKeys(b"secret")
# From 7.0 on a cluster can do without redis-cli, and a Sentinel is what is run today.
NEW_ENOUGH = (7, 0)
CACHING = Path(__file__).parents[2] / "docs" / "caching.md"


def key(name: str) -> bytes:
    return KEYS.key(b"provider", Token(name))


def result(sub: str) -> Recalled:
    return Recalled(Facts({"sub": sub}, time.time()), 0.0, 60.0)


@asynccontextmanager
async def tier(url: str, on_purge: Callable[[TagPurge], object] = lambda _: None) -> AsyncIterator[RedisTier]:
    made = RedisTier(parse_redis_url(url), KEYS, timeout_s=2, life_max_s=60, clock=time.time, monotonic=time.monotonic)
    await made.start(on_purge)
    try:
        yield made
    finally:
        await made.close()


async def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, "it never came true"
        await asyncio.sleep(0.02)


async def shares_and_purges(url: str) -> None:
    """What must hold on every kind of Redis."""
    seen: list[TagPurge] = []
    async with tier(url) as one, tier(url, seen.append) as other:
        await until(lambda: one.healthy and other.healthy)
        names = [f"user{number}" for number in range(20)]  # on every node of a cluster
        for name in names:
            await one.put(key(name), result(name), one.log_position())
            got = await other.get(key(name), REALM)
            assert isinstance(got, Recalled)
            assert isinstance(got.result, Facts)
            assert got.result.claims == {"sub": name}
        purge = purge_of([key("user1"), KEYS.tag(ClaimSelector(REALM, "sub", "user2"))])
        assert await one.publish_purge(purge)
        await until(lambda: purge in seen)
        assert await other.get(key("user1"), REALM) is Absent.MISS
        assert await other.get(key("user2"), REALM) is Absent.MISS
        assert isinstance(await other.get(key("user3"), REALM), Recalled)
        await share_a_lease(one, other)


async def share_a_lease(one: RedisTier, other: RedisTier) -> None:
    """One asks, the other waits, is woken and finds the answer; for keys on every node of a cluster."""
    # A tier that is not in step with the fleet yet gives no lease; on a busy machine that takes longer than its start.
    await until(lambda: all(each.healthy and each.leases._notifier.listening for each in (one, other)))
    for number in range(10):
        name, mine, theirs = f"lease{number}", bytes([number]) * 16, bytes([100 + number]) * 16
        with other.leases.signal(key(name)) as signal:
            for tier_, fence in ((one, mine), (other, theirs)):
                state = await tier_.leases.acquire(key(name), REALM, fence, 30)
                assert state is not None
                assert state.holder == mine
            waiting = asyncio.create_task(signal.wait(20))
            assert await one.leases.settle(key(name), result(name), one.log_position(), mine) is True
            began = time.monotonic()
            await waiting
            assert time.monotonic() - began < 10
        got = await other.get(key(name), REALM)
        assert isinstance(got, Recalled)
        assert got.fence == mine
        state = await other.leases.acquire(key(name), REALM, theirs, 30)
        assert state is not None
        assert state.holder == theirs
        await other.leases.release(key(name), theirs)


@pytest.fixture
def with_password() -> Iterator[RedisServer]:
    server = RedisServer(password="hunter2")
    with running(server):
        yield server


async def test_with_a_password(with_password: RedisServer) -> None:
    await shares_and_purges(with_password.url)


async def test_a_wrong_password_is_an_outage_and_is_not_shown(
    with_password: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with tier(f"redis://:wr0ng@127.0.0.1:{with_password.port}/0") as one:
        assert not one.healthy
        assert await one.get(key("alice"), REALM) is Absent.ERROR
        assert await one.publish_purge(purge_of([key("alice")])) is False
    assert "wr0ng" not in caplog.text


async def test_a_user_who_may_do_no_more_than_the_documentation_says(own_redis: RedisServer) -> None:
    [line] = [line for line in CACHING.read_text().splitlines() if "~gateway:*" in line]
    rules = line.split("`")[1].split()
    with own_redis.client() as client:
        client.execute_command("ACL", "SETUSER", "gateway", "on", ">hunter2", "nocommands", *rules)
        denied = client.execute_command("ACL", "LOG")
    await shares_and_purges(own_redis.url.replace("redis://", "redis://gateway:hunter2@"))
    with own_redis.client() as client:
        assert client.execute_command("ACL", "LOG") == denied


async def test_another_database(redis_server: RedisServer) -> None:
    await shares_and_purges(redis_server.url.replace("/0", "/3"))
    with redis_server.client() as client:
        assert client.dbsize() == 0


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with running(RedisServer(options=("--unixsocket", str(path)))):
        await shares_and_purges(f"unix://{path}")


async def test_over_tls_and_only_to_who_is_vouched_for(tmp_path: Path) -> None:
    if not can_do_tls():
        pytest.skip("this redis-server was built without TLS")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, private, trusted = (tmp_path / name for name in ("cert.pem", "key.pem", "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(private)
    authority.cert_pem.write_to_path(trusted)
    server = RedisServer(password="hunter2", tls=(certificate, private, trusted))
    with running(server):
        await shares_and_purges(server.url)
        async with tier(f"rediss://:hunter2@127.0.0.1:{server.port}") as stranger:
            assert not stranger.healthy
            assert await stranger.get(key("alice"), REALM) is Absent.ERROR
        async with tier(server.url.replace("127.0.0.1", "localhost")) as misnamed:
            assert not misnamed.healthy


async def test_a_cluster_of_three_nodes() -> None:
    if redis_version() < NEW_ENOUGH:
        pytest.skip(f"redis-server {redis_version()} is older than {NEW_ENOUGH}")
    with cluster() as servers:
        await shares_and_purges(f"redis+cluster://127.0.0.1:{servers[0].port},127.0.0.1:{servers[1].port}")
        held = 0
        for server in servers:
            with server.client() as client:
                assert client.dbsize() > 0
                held += client.dbsize()
        assert held == 30  # 19 entries that were not deleted, 10 of the leases, and the log


async def test_sentinels_name_the_primary_and_its_successor() -> None:
    if redis_version() < NEW_ENOUGH:
        pytest.skip(f"redis-server {redis_version()} is older than {NEW_ENOUGH}")
    primary, replica = RedisServer(), RedisServer()
    with watched_by_sentinel("main", primary, replica) as sentinel:
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/main"
        with primary.client() as client:
            await until(lambda: client.info("replication")["connected_slaves"] == 1)
        await shares_and_purges(url)
        with sentinel.client() as watching:
            await until(lambda: len(watching.sentinel_slaves("main")) == 1)
        async with tier(url) as one:
            assert one.healthy
            primary.kill()
            await until(lambda: not one.healthy)
            await until(lambda: one.healthy, within_s=30)
            await one.put(key("alice"), result("alice"), one.log_position())
            assert isinstance(await one.get(key("alice"), REALM), Recalled)
            async with tier(url) as other:
                await share_a_lease(one, other)


async def test_a_cluster_that_cuts_subscriptions_is_listened_to_again() -> None:
    if redis_version() < NEW_ENOUGH:
        pytest.skip(f"redis-server {redis_version()} is older than {NEW_ENOUGH}")
    with cluster() as servers:
        url = "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)
        async with tier(url) as one:
            await until(lambda: one.leases._notifier.listening)
            for server in servers:
                with server.client() as client:
                    client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await until(lambda: one.leases._notifier.listening)
            async with tier(url) as other:
                await share_a_lease(one, other)
