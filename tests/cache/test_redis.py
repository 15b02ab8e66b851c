import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from support.redis_server import RedisServer

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive
from gateway.cache import purge_log
from gateway.cache.key import HmacKeys
from gateway.cache.not_before_store import NotBeforeStore
from gateway.cache.redis import RedisTier
from gateway.config.redis_url import parse_redis_url
from gateway.introspection.invalidation import ClaimSelector
from gateway.introspection.not_before import NotBefore
from gateway.introspection.ports import Absent, Recalled
from gateway.introspection.tag_purge import TagPurge, purge_everything, purge_of

KEYS = HmacKeys(b"secret")
REALM = "https://sso.example.com"
KEY = KEYS.key(b"provider", Token("alice.1"))
ALICE = KEYS.tag(ClaimSelector(REALM, "sub", "alice"))
# Far from what a busy machine takes, unless the test is about the time-out.
PATIENT_S = 2.0
BRIEF_S = 0.05


def alice(**claims: object) -> Facts:
    return Facts({"active": True, "sub": "alice", **claims}, time.time())


def about(result: Facts | Inactive, age_s: float = 0.0, left_s: float = 60.0) -> Recalled:
    return Recalled(result, age_s, left_s)


@asynccontextmanager
async def tier(
    server: RedisServer,
    *,
    timeout_s: float = PATIENT_S,
    clock: Callable[[], float] = time.time,
    on_purge: Callable[[TagPurge], object] = lambda _: None,
    keys: HmacKeys = KEYS,
) -> AsyncIterator[RedisTier]:
    made = RedisTier(
        parse_redis_url(server.url),
        keys,
        timeout_s=timeout_s,
        life_max_s=60,
        clock=clock,
        monotonic=time.monotonic,
    )
    await made.start(on_purge)
    try:
        yield made
    finally:
        await made.close()


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> float:
    """How long it took until `condition` held."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, "it never came true"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def test_what_one_instance_puts_another_gets(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one, tier(redis_server) as other:
        assert await other.get(KEY, REALM) is Absent.MISS
        facts = alice(roles=["a", "b"], exp=2e9)
        await one.put(KEY, about(facts, age_s=0.25, left_s=60), one.log_position())
        got = await other.get(KEY, REALM)
        assert isinstance(got, Recalled)
        assert isinstance(got.result, Facts)
        assert got.result.claims == facts.claims
        assert 0.25 <= got.age_s < 10
        assert got.left_s <= 60
        assert got.age_s + got.left_s == pytest.approx(60.25, abs=0.01)


async def test_a_phantom_token_is_shared_under_seal(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one, tier(redis_server) as other:
        facts = Facts({"sub": "alice"}, time.time(), phantom="header.claims-of-alice.signature")
        await one.put(KEY, about(facts), one.log_position())
        got = await other.get(KEY, REALM)
        assert isinstance(got, Recalled)
        assert isinstance(got.result, Facts)
        assert got.result.phantom == "header.claims-of-alice.signature"
        with redis_server.client() as client:
            for name in redis_server.names():
                kept = client.dump(name) or b""
                assert b"claims-of-alice" not in name + kept


async def test_inactive_answers_are_shared_too(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one:
        await one.put(KEY, about(Inactive(time.time()), left_s=10), one.log_position())
        got = await one.get(KEY, REALM)
        assert isinstance(got, Recalled)
        assert isinstance(got.result, Inactive)


async def test_redis_forgets_in_time(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one:
        await one.put(KEY, about(alice(), left_s=0.05), one.log_position())
        await asyncio.sleep(0.1)
        assert await one.get(KEY, REALM) is Absent.MISS
        await one.put(KEY, about(alice(), left_s=0.0), one.log_position())
        assert await one.get(KEY, REALM) is Absent.MISS


async def test_clocks_a_second_apart_make_nothing_younger(redis_server: RedisServer) -> None:
    for apart_s in (-1.0, 1.0):
        async with tier(redis_server) as one, tier(redis_server, clock=lambda by=apart_s: time.time() + by) as other:
            await one.put(KEY, about(alice(), age_s=5, left_s=55), one.log_position())
            got = await other.get(KEY, REALM)
            assert isinstance(got, Recalled)
            assert 5 <= got.age_s < 15
            assert got.left_s <= 55


@pytest.mark.parametrize("apart_s", [-300.0, 300.0])
async def test_instances_whose_clocks_are_five_minutes_apart_share_nothing_and_the_log_says_so(
    redis_server: RedisServer, apart_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    async with tier(redis_server) as one, tier(redis_server, clock=lambda: time.time() + apart_s) as other:
        await one.put(KEY, about(alice(), age_s=5, left_s=55), one.log_position())
        for _ in range(5):
            got = await other.get(KEY, REALM)
            assert got is Absent.ERROR or (isinstance(got, Recalled) and got.left_s == got.kept_s == 0 and apart_s < 0)
        assert isinstance(await one.get(KEY, REALM), Recalled)
    said = [
        record.getMessage() for record in caplog.records if "the clocks of two instances are apart" in record.message
    ]
    assert len(said) == 1
    assert "by 300 s" in said[0]


@pytest.mark.parametrize("how", ["set", "restore"])
async def test_an_entry_that_is_put_back_again_and_again_ends_as_if_it_had_not_been(
    redis_server: RedisServer, how: str
) -> None:
    ahead_s = 0.0
    async with tier(redis_server, clock=lambda: time.time() + ahead_s) as one:
        await one.put(KEY, about(alice(), left_s=60), one.log_position())
        with redis_server.client() as client:
            [name] = redis_server.names()
            sealed, dumped, first_ms = client.get(name), client.dump(name), client.pttl(name)
            for ahead_s in (20.0, 40.0, 59.0, 61.0, 100.0, 500.0, 599.0):
                if how == "set":
                    client.set(name, sealed, px=first_ms)
                else:
                    client.restore(name, first_ms, dumped, replace=True)
                got = await one.get(KEY, REALM)
                if ahead_s > 60:
                    assert got is Absent.ERROR
                else:
                    assert isinstance(got, Recalled)
                    assert got.age_s >= ahead_s - 0.01
                    assert got.left_s <= 60.01 - ahead_s


async def test_nothing_of_a_token_or_its_facts_can_be_read_in_redis(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one:
        await one.put(KEY, about(alice(email="alice@example.com")), one.log_position())
        await one.publish_purge(
            purge_of([KEYS.tag(ClaimSelector(REALM, "sub", "bob")), KEYS.key(b"provider", Token("bob.1"))])
        )
        await one.put(KEY, about(alice(email="alice@example.com")), one.log_position())
        with redis_server.client() as client:
            names = client.keys()
            held = b"".join(name + client.dump(name) for name in names)
    assert len(names) == 2
    secrets = [
        b"alice",
        b"bob",
        b"provider",
        b"secret",
        b"active",
        b"example.com",
        KEYS.tag(ClaimSelector(REALM, "sub", "bob")),
        KEY.hex().encode(),
    ]
    assert [each for each in secrets if each in held] == []


@pytest.mark.parametrize(
    "harm",
    [
        lambda client, name: client.set(name, b"garbage", ex=60),
        lambda client, name: client.set(name, b"", ex=60),
        lambda client, name: client.set(name, b"\x01" * 2_000_000, ex=60),
        lambda client, name: (client.delete(name), client.lpush(name, b"a list")),
        lambda client, name: client.setrange(name, 40, b"tampered"),
        lambda client, name: client.append(name, b"x"),
        lambda client, name: client.persist(name),
        lambda client, name: client.pexpire(name, 10_000_000),
    ],
    ids=["garbage", "empty", "oversized", "another type", "tampered", "longer", "no expiry", "longer life"],
)
async def test_a_lie_in_redis_is_an_error_and_is_put_right_by_the_next_answer(
    redis_server: RedisServer, harm: Callable[[object, bytes], object]
) -> None:
    async with tier(redis_server) as one:
        await one.put(KEY, about(alice()), one.log_position())
        with redis_server.client() as client:
            [name] = redis_server.names()
            harm(client, name)
        assert await one.get(KEY, REALM) in {Absent.ERROR, Absent.MISS}
        assert one.healthy
        await one.put(KEY, about(alice()), one.log_position())
        assert isinstance(await one.get(KEY, REALM), Recalled)


async def test_a_value_copied_from_another_key_is_no_answer(redis_server: RedisServer) -> None:
    other_key = KEYS.key(b"provider", Token("mallory.1"))
    async with tier(redis_server) as one:
        await one.put(KEY, about(alice()), one.log_position())
        [name] = redis_server.names()
        await one.put(other_key, about(Inactive(time.time())), one.log_position())
        with redis_server.client() as client:
            [target] = set(redis_server.names()) - {name}
            client.copy(name, target, replace=True)
        assert await one.get(other_key, REALM) is Absent.ERROR
        assert isinstance(await one.get(KEY, REALM), Recalled)


async def test_another_secret_finds_nothing(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one, tier(redis_server, keys=HmacKeys(b"another")) as other:
        await one.put(KEY, about(alice()), one.log_position())
        assert await other.get(KEY, REALM) is Absent.MISS


async def test_an_answer_too_large_to_share_is_not_shared(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one:
        await one.put(KEY, about(alice(groups=["g" * 1000] * 300)), one.log_position())
        assert await one.get(KEY, REALM) is Absent.MISS
        assert one.healthy


async def test_a_redis_that_is_down_costs_nothing_and_is_used_again_when_it_is_back(own_redis: RedisServer) -> None:
    async with tier(own_redis) as one:
        await one.put(KEY, about(alice()), one.log_position())
        own_redis.kill()
        await until(lambda: not one.healthy)
        began = time.monotonic()
        for _ in range(100):
            assert await one.get(KEY, REALM) is Absent.ERROR
            await one.put(KEY, about(alice()), one.log_position())
        assert time.monotonic() - began < 1
        own_redis.start()
        await until(lambda: one.healthy, within_s=10)
        assert await one.get(KEY, REALM) is Absent.MISS
        await one.put(KEY, about(alice()), one.log_position())
        assert isinstance(await one.get(KEY, REALM), Recalled)


async def test_a_redis_that_does_not_answer_costs_one_request_its_patience_and_the_next_nothing(
    own_redis: RedisServer,
) -> None:
    async with tier(own_redis, timeout_s=BRIEF_S) as one:
        await until(lambda: one.healthy)
        own_redis.pause()
        try:
            began = time.monotonic()
            assert await one.get(KEY, REALM) is Absent.ERROR
            assert time.monotonic() - began < 1
            began = time.monotonic()
            for _ in range(100):
                assert await one.get(KEY, REALM) is Absent.ERROR
            assert time.monotonic() - began < 0.9
        finally:
            own_redis.resume()
        await until(lambda: one.healthy, within_s=10)
        assert await one.get(KEY, REALM) is Absent.MISS


async def test_a_redis_that_comes_late_is_used_when_it_comes() -> None:
    server = RedisServer()
    try:
        async with tier(server, timeout_s=BRIEF_S) as one:
            assert not one.healthy
            assert one.log_position() == b""
            assert await one.get(KEY, REALM) is Absent.ERROR
            server.start()
            await until(lambda: one.healthy)
    finally:
        server.stop()


async def test_a_full_redis_is_read_and_not_written(own_redis: RedisServer) -> None:
    async with tier(own_redis) as one:
        await one.put(KEY, about(alice()), one.log_position())
        with own_redis.client() as client:
            client.config_set("maxmemory", "1")
        other = KEYS.key(b"provider", Token("bob.1"))
        await one.put(other, about(alice()), one.log_position())
        assert await one.get(other, REALM) is Absent.MISS
        assert isinstance(await one.get(KEY, REALM), Recalled)
        assert one.healthy


async def test_a_read_only_redis_is_read(own_redis: RedisServer) -> None:
    async with tier(own_redis) as one:
        await one.put(KEY, about(alice()), one.log_position())
        with own_redis.client() as client:
            client.config_set("min-replicas-to-write", "1")
        await one.put(KEY, about(alice()), one.log_position())
        assert isinstance(await one.get(KEY, REALM), Recalled)


async def test_something_that_speaks_no_redis_is_no_obstacle() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b":abc\r\n*-5\r\n$x\r\nHTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await reader.read(100)
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_server(babble, "127.0.0.1", 0)
    server = RedisServer(port=listener.sockets[0].getsockname()[1])
    async with listener, tier(server, timeout_s=BRIEF_S) as one:
        assert not one.healthy
        assert await one.get(KEY, REALM) is Absent.ERROR
        assert await one.publish_purge(purge_everything()) is False


async def test_a_purge_is_seen_by_all_within_a_second(redis_server: RedisServer) -> None:
    seen: list[TagPurge] = []
    async with tier(redis_server) as one, tier(redis_server, on_purge=seen.append) as other:
        seen.clear()
        purge = purge_of([ALICE])
        assert await one.publish_purge(purge)
        assert await until(lambda: purge in seen, within_s=5) < 1
        assert other.healthy


@pytest.mark.parametrize("tags", [[KEY], [ALICE], None], ids=["token", "sub", "everything"])
async def test_what_was_asked_for_before_a_purge_is_not_found_after_it(
    redis_server: RedisServer, tags: list[bytes] | None
) -> None:
    seen: list[TagPurge] = []
    async with tier(redis_server) as one, tier(redis_server, on_purge=seen.append) as other:
        await one.put(KEY, about(alice()), one.log_position())
        assert isinstance(await other.get(KEY, REALM), Recalled)
        before, before_elsewhere = one.log_position(), other.log_position()
        purge = purge_everything() if tags is None else purge_of(tags)
        one.hide(purge)
        assert await one.get(KEY, REALM) is Absent.MISS  # at once, before anybody is told
        assert await one.publish_purge(purge)
        await until(lambda: purge in seen)
        for late, log_position in ((one, before), (other, before_elsewhere)):
            await late.put(KEY, about(alice()), log_position)
            assert await other.get(KEY, REALM) is Absent.MISS
            assert await one.get(KEY, REALM) is Absent.MISS
        await other.put(KEY, about(alice()), other.log_position())
        await until(lambda: one.log_position() == other.log_position())
        assert isinstance(await one.get(KEY, REALM), Recalled)


async def test_a_purged_token_is_gone_from_redis(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one:
        await one.put(KEY, about(alice()), one.log_position())
        await one.publish_purge(purge_of([KEY]))
        assert redis_server.names() == []


async def test_a_process_that_starts_later_knows_earlier_purges(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one:
        before = one.log_position()
        await one.publish_purge(purge_of([ALICE]))
        await one.put(KEY, about(alice()), before)
        async with tier(redis_server) as late:
            assert await late.get(KEY, REALM) is Absent.MISS


async def test_a_cut_connection_loses_no_purge(redis_server: RedisServer) -> None:
    seen: list[TagPurge] = []
    async with tier(redis_server) as one, tier(redis_server, on_purge=seen.append):
        for number in range(5):
            purge = purge_of([KEYS.tag(ClaimSelector(REALM, "sub", f"user {number}"))])
            with redis_server.client() as client:
                for kind in ("normal", "pubsub"):
                    client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
            await one.publish_purge(purge)
            assert await until(lambda purge=purge: purge in seen, within_s=5) < 2


async def test_a_purge_while_redis_is_down_is_told_when_it_is_back(own_redis: RedisServer) -> None:
    seen: list[TagPurge] = []
    async with tier(own_redis, timeout_s=BRIEF_S) as one, tier(own_redis, on_purge=seen.append):
        own_redis.pause()
        purge = purge_of([ALICE])
        one.hide(purge)
        assert await one.publish_purge(purge) is False
        own_redis.resume()
        await until(lambda: purge in seen)


@pytest.mark.parametrize("is_read_back", [True, False])
async def test_a_purge_that_a_failover_lost_is_told_again_to_who_had_not_read_it(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, is_read_back: bool
) -> None:
    """A replica becomes primary that lacks the end of the log: to who had not read that, nothing is missing."""
    seen: list[TagPurge] = []
    async with tier(redis_server) as one, tier(redis_server, on_purge=seen.append) as other:
        may_read = asyncio.Event()
        held = (other,) if is_read_back else (one, other)
        for each in held:
            _read_later(monkeypatch, each, may_read)
        await asyncio.sleep(0.05)
        seen.clear()
        purge = purge_of([ALICE])
        assert await one.publish_purge(purge)
        if is_read_back:
            await until(lambda: one._follower._purge_log.has_read(purge.id))
        with redis_server.client() as client:
            name = f"gateway:{KEYS.fleet}:purges"
            [(last, _)] = client.xrevrange(name, count=1)
            client.xdel(name, last)
        may_read.set()
        await until(lambda: any(each.covers([ALICE]) for each in seen))
        await asyncio.sleep(0.7)
        told = len(seen)
        await asyncio.sleep(1.0)
        assert len(seen) == told <= 2  # and not again and again


def _read_later(monkeypatch: pytest.MonkeyPatch, one: RedisTier, may_read: asyncio.Event) -> None:
    log = one._follower._purge_log
    read_page = log._page

    async def page() -> list[tuple[bytes, bytes | None]]:
        await may_read.wait()
        return await read_page()

    monkeypatch.setattr(log, "_page", page)


async def test_when_the_log_is_lost_everything_is_purged(redis_server: RedisServer) -> None:
    seen: list[TagPurge] = []
    async with tier(redis_server, on_purge=seen.append) as one:
        await one.put(KEY, about(alice()), one.log_position())
        log_position = one.log_position()
        for harm in ("delete", "overwrite"):
            seen.clear()
            with redis_server.client() as client:
                name = f"gateway:{KEYS.fleet}:purges"
                client.delete(name) if harm == "delete" else client.set(name, "garbage")
            await until(lambda: any(purge.tags is None for purge in seen))
            await until(lambda: one.healthy and one.log_position() != b"")
            assert await one.get(KEY, REALM) is Absent.MISS
            assert one.log_position() != log_position


@pytest.mark.parametrize("instances", [1, 2])
async def test_a_log_that_was_put_back_undoes_no_purge(redis_server: RedisServer, instances: int) -> None:
    async with AsyncExitStack() as stack:
        fleet = [await stack.enter_async_context(tier(redis_server)) for _ in range(instances)]
        one = fleet[0]
        await one.put(KEY, about(alice()), one.log_position())
        with redis_server.client() as client:
            [name], log = redis_server.names(), f"gateway:{KEYS.fleet}:purges"
            sealed, log_before = client.get(name), client.dump(log)
            purge = purge_of([ALICE])
            await one.publish_purge(purge)
            for each in fleet:
                await until(lambda each=each: each._follower._purge_log.has_read(purge.id))
            for _ in range(3):  # also a log that was put back already
                voided = one.log_position()
                client.restore(log, 0, log_before, replace=True)
                client.set(name, sealed, px=60_000)
                began = time.monotonic()
                while time.monotonic() - began < 1.2:
                    for each in fleet:
                        assert await each.get(KEY, REALM) is Absent.MISS
                    await asyncio.sleep(0.02)
                # The log goes on in a later epoch, that a process which starts now finds as well.
                assert one.healthy
                assert one.log_position()[:8] > voided[:8]
                async with tier(redis_server) as late:
                    assert await late.get(KEY, REALM) is Absent.MISS
                    assert late.log_position()[:16] == one.log_position()[:16]
            await one.put(KEY, about(alice()), one.log_position())
            for each in fleet:
                assert isinstance(await each.get(KEY, REALM), Recalled)


async def test_a_log_that_was_put_back_in_part_and_gone_on_with_is_noticed(redis_server: RedisServer) -> None:
    """One that looks as if it had only been trimmed: everything in it is later than what was read."""
    async with tier(redis_server) as one:
        await one.put(KEY, about(alice()), one.log_position())
        with redis_server.client() as client:
            [name], log = redis_server.names(), f"gateway:{KEYS.fleet}:purges"
            sealed = client.get(name)
            purge = purge_of([ALICE])
            await one.publish_purge(purge)
            await until(lambda: one._follower._purge_log.has_read(purge.id))
            client.xadd(log, client.xrange(log)[0][1])  # a copy of its opening
            client.xtrim(log, maxlen=1, approximate=False)
            client.set(name, sealed, px=60_000)
            began = time.monotonic()
            while time.monotonic() - began < 1.0:
                assert await one.get(KEY, REALM) is Absent.MISS
                await asyncio.sleep(0.02)


async def test_a_forged_message_in_the_log_purges_everything_and_breaks_nothing(redis_server: RedisServer) -> None:
    seen: list[TagPurge] = []
    async with tier(redis_server, on_purge=seen.append) as one:
        seen.clear()
        with redis_server.client() as client:
            client.xadd(f"gateway:{KEYS.fleet}:purges", {"m": b"forged"})
            client.xadd(f"gateway:{KEYS.fleet}:purges", {"x": b"forged"})
        await until(lambda: len(seen) == 2)
        assert {purge.tags for purge in seen} == {None}
        await one.put(KEY, about(alice()), one.log_position())
        assert isinstance(await one.get(KEY, REALM), Recalled)


async def test_a_long_log_is_read_to_its_end(redis_server: RedisServer) -> None:
    async with tier(redis_server) as one:
        before = one.log_position()
        last = [purge_of([KEYS.tag(ClaimSelector(REALM, "sub", f"user {number}"))]) for number in range(1_200)]
        for purge in last:
            await one._follower._purge_log.append(purge)
        async with tier(redis_server) as late:
            assert late.log_position() > before
            await until(lambda: one.log_position() == late.log_position())


async def test_a_log_that_breaks_off_between_two_pages_loses_no_purge(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge_log, "_PAGE_MESSAGES", 3)
    seen: list[TagPurge] = []
    async with tier(redis_server, on_purge=seen.append) as one, tier(redis_server) as other:
        read_page, pages = one._follower._purge_log._page, 0

        async def every_second_breaks_off() -> list[tuple[bytes, bytes | None]]:
            nonlocal pages
            pages += 1
            if pages % 2 == 0:
                raise ConnectionError
            return await read_page()

        monkeypatch.setattr(one._follower._purge_log, "_page", every_second_breaks_off)
        purges = [purge_of([KEYS.tag(ClaimSelector(REALM, "sub", f"user {number}"))]) for number in range(10)]
        for purge in purges:
            await other._follower._purge_log.append(purge)
        await until(lambda: one.log_position() == other.log_position() != b"")
        assert [purge for purge in seen if purge.tags is not None] == purges


async def test_the_log_is_given_a_life_of_its_own(redis_server: RedisServer) -> None:
    async with tier(redis_server):
        with redis_server.client() as client:
            await until(lambda: client.ttl(f"gateway:{KEYS.fleet}:purges") > 3600)


async def test_a_burst_is_answered_in_turn(redis_server: RedisServer) -> None:
    async with tier(redis_server, timeout_s=10) as one:
        await one.put(KEY, about(alice()), one.log_position())
        got = await asyncio.gather(*(one.get(KEY, REALM) for _ in range(500)))
        assert all(isinstance(each, Recalled) for each in got)


async def test_a_burst_opens_few_connections(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        async with tier(redis_server, timeout_s=10) as one:
            before = len(client.client_list())
            await asyncio.gather(*(one.get(KEY, REALM) for _ in range(500)))
            assert len(client.client_list()) - before <= 16


async def test_who_gets_no_connection_in_time_does_not_take_redis_for_lost(own_redis: RedisServer) -> None:
    fence = b"f" * 16
    async with tier(own_redis, timeout_s=BRIEF_S) as one, AsyncExitStack() as busy:
        await until(lambda: one.healthy)
        for _ in range(16):
            await busy.enter_async_context(one._guard._slots)
        assert await one.leases.acquire(KEY, REALM, fence, 1.0) is None
        assert one.healthy
        asking = asyncio.create_task(one.leases.acquire(KEY, REALM, fence, 1.0))
        await asyncio.sleep(BRIEF_S * 0.8)
        own_redis.pause()  # so that what is left of the time will not do
        await busy.aclose()
        assert await asking is None
        own_redis.resume()
        assert not one._guard.is_backing_off
        await until(lambda: one.healthy)
        assert await one.get(KEY, REALM) is Absent.MISS


async def test_a_request_that_is_cancelled_leaves_the_connections_in_order(redis_server: RedisServer) -> None:
    async with tier(redis_server, timeout_s=10) as one:
        await one.put(KEY, about(alice()), one.log_position())
        for pause_s in (0.0, 0.0001, 0.0005, 0.001, 0.002) * 20:
            asking = asyncio.ensure_future(one.get(KEY, REALM))
            await asyncio.sleep(pause_s)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        got = await asyncio.gather(*(one.get(KEY, REALM) for _ in range(20)))
        assert all(isinstance(each, Recalled) for each in got)
        assert one.healthy


async def test_another_type_where_a_realms_moment_lies_keeps_nobody_from_following(redis_server: RedisServer) -> None:
    known, told = NotBefore(), []
    async with tier(redis_server, on_purge=told.append) as one:
        name = NotBeforeStore(one._link.client, one._prefix, KEYS, known)._name(REALM)
        with redis_server.client() as client:
            client.lpush(name, b"a list")
        one.follow_realms(frozenset({REALM}))
        await asyncio.sleep(1.0)  # two looks at the log
        order = purge_of([ALICE])
        assert await one.publish_purge(order)
        await until(lambda: order in told)
        assert one.healthy
        one._not_before_store._not_before.advance(REALM, 1000.0)
        await one._agree()
        await NotBeforeStore(one._link.client, one._prefix, KEYS, known).agree([REALM])
        assert known.of(REALM) == 1000.0
