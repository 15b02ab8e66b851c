"""Caches: facts are remembered and decisions never; nothing that a cache or its Redis does makes a yes.

Two gateways share a Redis behind a fault proxy; what provider and backend saw decides. `tier` says where the answer
of a request came from: `local`, `redis` or `provider`.
"""

import asyncio
import base64
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis
from support.backend import Backend
from support.echoing import IDENTITY, USER_HEADER, is_refused, marked, passes, reached, said, vouched_backend
from support.fault_proxy import CLEAR, GARBLED, HALF_CLOSING, RESETTING, SILENT, FaultProxy, Weather
from support.lanes import FAST, lane_keys, lanes
from support.redis_server import RedisServer, running
from support.running_gateway import CLIENT_SECRET, RunningGateway, configuration, gateways, provider_settings
from support.scripted_provider import Call, Reply, ScriptedProvider
from support.wire import request

CACHE_SECRET = "secret-of-the-fleet"
ISSUER = "https://sso.example.com/realms/demo"
# No bound that matters to these tests, unless they say otherwise: the machine may be busy.
REDIS_TIMEOUT = "2s"
ALICE = {
    "active": True,
    "sub": "alice",
    "client_id": "web",
    "iss": ISSUER,
    "aud": ["orders"],
    "scope": "read",
    "realm_access": {"roles": ["clerk"]},
    "tenant": "t1",
}
# What other routes ask for and `ALICE` has not, and how they refuse it.
STRICTER = {
    "scope": ({"scopes": ["write"]}, 403, "insufficient_scope"),
    "any-scope": ({"any_scope": ["write", "admin"]}, 403, "insufficient_scope"),
    "audience": ({"audience": ["billing"]}, 401, "invalid_token"),
    "issuer": ({"issuer": "https://sso.example.com/realms/other"}, 401, "invalid_token"),
    "role": ({"roles": ["manager"]}, 403, "forbidden"),
    "claim": ({"claims": {"tenant": "t2"}}, 403, "forbidden"),
}

Start = Callable[..., Awaitable[RunningGateway]]


@pytest.fixture(scope="module")
def redis_process() -> Iterator[RedisServer]:
    server = RedisServer()
    with running(server):
        yield server


@pytest.fixture
def redis(redis_process: RedisServer) -> Iterator[Redis]:
    """A plain client of the Redis that the gateways share, which is empty; for looking into it and doing it harm."""
    with redis_process.client() as client:
        client.flushall()
        before = {name: client.config_get(name)[name] for name in ("maxmemory", "maxmemory-policy")}
        yield client
        client.replicaof("no", "one")
        for name, value in before.items():
            client.config_set(name, value)


@pytest.fixture
async def road(redis: Redis, redis_process: RedisServer) -> AsyncIterator[FaultProxy]:
    """The road to Redis."""
    async with FaultProxy(("127.0.0.1", redis_process.port)) as proxy:
        yield proxy


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider() as scripted:
        scripted.answers["alice"] = ALICE
        scripted.answers["canary"] = {**ALICE, "sub": "canary"}
        yield scripted


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with vouched_backend() as recording:
        yield recording


@pytest.fixture
async def start(provider: ScriptedProvider, backend: Backend, lane: str) -> AsyncIterator[Start]:
    """Starts gateways: `/api/**` asks for a token, `/<name>/**` for what `STRICTER` says besides."""

    async def serve(
        road: FaultProxy | None = None,
        *,
        providers: dict[str, Any] | None = None,
        routes: list[dict[str, Any]] | None = None,
        **cache: Any,
    ) -> RunningGateway:
        more = {"backend": backend.url, "identity": IDENTITY}
        auths = {"api": {}, **{name: auth for name, (auth, _, _) in STRICTER.items()}}
        default = [{"name": name, "match": {"path": f"/{name}/**"}, "auth": auth} for name, auth in auths.items()]
        shared = {"redis": f"redis://127.0.0.1:{road.port}/0", "secret": CACHE_SECRET} if road is not None else {}
        return await start_one(
            configuration(
                providers=providers or {"p": provider_settings(provider, issuer=ISSUER)},
                routes=[{**more, **route} for route in routes or default],
                cache={**shared, "timeout": REDIS_TIMEOUT, "inactive_ttl": "60s", **cache},
                server=lane_keys(lane),
            )
        )

    async with gateways(CLIENT_SECRET, CACHE_SECRET) as start_one:
        yield serve


@pytest.fixture
async def pair(start: Start, road: FaultProxy) -> tuple[RunningGateway, RunningGateway]:
    return await start(road), await start(road)


def calls(provider: ScriptedProvider, token: str = "alice") -> int:
    return sum(call.token == token for call in provider.introspections)


def tier(gateway: RunningGateway) -> str | None:
    """Where the facts of the last request came from."""
    return gateway.lines.requests[-1]["cache"]


def entries(redis: Redis) -> set[bytes]:
    """The names of the entries in Redis."""
    return {name for name in redis.scan_iter() if not name.endswith((b":purges", b":lease"))}


async def entry_of(redis: Redis, *, besides: bytes | None = None) -> bytes:
    """The name of the only one; an answer may be given a little before it lies there."""
    async with asyncio.timeout(5):
        while not (names := entries(redis) - {besides}):  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.01)
    [name] = names
    return name


# Facts are cached, decisions never.


@pytest.mark.parametrize("wanted", STRICTER)
async def test_what_passed_on_one_route_is_still_refused_on_another_from_either_tier(pair, provider, backend, wanted):
    first, second = pair
    _, status, code = STRICTER[wanted]
    await passes(first, "alice", "alice")
    await is_refused(first, "alice", status, code, f"/{wanted}", backend)
    assert tier(first) == "local"
    await is_refused(second, "alice", status, code, f"/{wanted}", backend)
    assert tier(second) == "redis"
    await is_refused(second, "alice", status, code, f"/{wanted}", backend)
    assert tier(second) == "local"
    await passes(second, "alice", "alice")
    assert calls(provider) == 1
    for gateway in pair:
        await passes(gateway, "canary", "canary")


@pytest.mark.parametrize("wanted", STRICTER)
async def test_a_refusal_on_one_route_is_no_refusal_on_another(pair, provider, backend, wanted):
    first, second = pair
    _, status, code = STRICTER[wanted]
    await is_refused(first, "alice", status, code, f"/{wanted}", backend)
    await passes(first, "alice", "alice")
    await passes(second, "alice", "alice")
    assert calls(provider) == 1


async def test_routes_that_wait_for_one_answer_decide_for_themselves(pair, provider, backend):
    first, _ = pair
    provider.delay_s = 0.3
    paths = ["api", *STRICTER] * 5
    targets = [marked(f"/{path}") for path in paths]
    answers = await asyncio.gather(*(first.get(target, token="alice") for target in targets))
    statuses = {"api": 200, **{name: status for name, (_, status, _) in STRICTER.items()}}
    assert [answer.status for answer in answers] == [statuses[path] for path in paths]
    assert calls(provider) == 1
    assert [reached(backend, target) for target in targets] == [path == "api" for path in paths]


async def test_one_tokens_facts_are_never_anothers(pair, provider, backend):
    """Tokens that a careless key would confuse."""
    tokens = ["a", "a=", "a==", "A", "a.", "a.a", "aa", "alice", "alice=", "a" * 31, "a" * 32, "a" * 33, "a" * 4096]
    for number, token in enumerate(tokens):
        provider.answers[token] = {**ALICE, "sub": f"user{number}"}
    for gateway in (*pair, *pair):
        for number, token in enumerate(tokens):
            await passes(gateway, token, f"user{number}")
    assert [calls(provider, token) for token in tokens] == [1] * len(tokens)


# One key for provider, endpoint and client.


@pytest.mark.parametrize("differs", ["issuer", "introspection_endpoint", "client_id", "all"])
@pytest.mark.parametrize("when", ["one after the other", "at once"])
async def test_the_same_token_at_two_providers_is_asked_of_both(start, road, provider, backend, differs, when):
    async with ScriptedProvider() as other:
        # One server plays both providers where they share the endpoint: the client's id says who is asked.
        other.default = {**ALICE, "sub": "bob", "iss": f"{ISSUER}/other"}
        provider.answers["alice"] = _by_client
        mine = provider_settings(provider, issuer=ISSUER, client_id="gw")
        theirs = dict(mine)
        if differs in {"issuer", "all"}:
            theirs["issuer"] = f"{ISSUER}/other"
        if differs in {"introspection_endpoint", "all"}:
            theirs["introspection_endpoint"] = other.introspection_endpoint
            theirs["issuer"] = f"{ISSUER}/other" if differs == "all" else None
        if differs in {"client_id", "all"}:
            theirs["client_id"] = "gw2"
        theirs = {name: value for name, value in theirs.items() if value is not None}
        routes = [
            {"name": name, "match": {"path": f"/{name}/**"}, "auth": {"provider": name}} for name in ("mine", "theirs")
        ]
        fleet = [await start(road, providers={"mine": mine, "theirs": theirs}, routes=routes) for _ in range(2)]
        asks = [(gateway, name) for gateway in fleet for name in ("mine", "theirs")]
        targets = [marked(f"/{name}") for _, name in asks]
        asking = [gateway.get(target, token="alice") for (gateway, _), target in zip(asks, targets, strict=True)]
        answers = await asyncio.gather(*asking) if when == "at once" else [await one for one in asking]
        asked = [call.path for call in provider.introspections] + [call.path for call in other.introspections]
        if when != "at once":
            assert len(asked) == 2
        for (_, name), target, answer in zip(asks, targets, answers, strict=True):
            if name == "mine":
                assert said(answer) == (target, ["alice"])
            elif differs == "issuer":  # the same server says the same, of an issuer that is not theirs
                assert answer.status == 401
            else:
                assert said(answer) == (target, ["bob"])


def _by_client(call: Call) -> dict[str, Any]:
    _, _, credentials = (call.header("Authorization") or "").partition(" ")
    client_id = base64.b64decode(credentials).decode().partition(":")[0]
    return {**ALICE, "sub": "alice" if client_id == "gw" else "bob"}


# Nothing outlives `exp`.


@lanes(FAST)
async def test_nothing_outlives_exp_in_any_tier(pair, provider, backend):
    first, second = pair
    exp = time.time() + 2.5
    provider.answers["alice"] = {**ALICE, "exp": exp}
    await passes(first, "alice", "alice")
    await passes(second, "alice", "alice")
    # The provider's clock is behind: by its word the token lives on.
    await asyncio.sleep(exp - time.time() + 0.05)
    for gateway in pair:
        await is_refused(gateway, "alice", 401, "invalid_token", backend=backend)


@lanes(FAST)
@pytest.mark.parametrize("ahead_s", [-300.0, 300.0])
async def test_nothing_outlives_exp_with_clocks_five_minutes_apart(
    start, road, provider, backend, monkeypatch, ahead_s
):
    """The token ends by the clocks of provider, Redis and the first gateway; the second one's is wrong."""
    first = await start(road)
    other_clock = SimpleNamespace(time=lambda: time.time() + ahead_s, monotonic=time.monotonic)
    monkeypatch.setattr("gateway.runtime.assembly.time", other_clock)
    second = await start(road)
    monkeypatch.undo()
    exp = time.time() + 2.5
    provider.answers["alice"] = lambda _: {**ALICE, "exp": exp} if time.time() < exp else {"active": False}
    for writer, reader in ((first, second), (second, first)):
        if writer is second and ahead_s > 0:
            continue  # by its clock the token has ended before it began
        await passes(writer, "alice", "alice")
        if reader is first or ahead_s < 0:
            await passes(reader, "alice", "alice")
    await asyncio.sleep(exp - time.time() + 0.05)
    before = calls(provider)
    await is_refused(second, "alice", 401, "invalid_token", backend=backend)
    if ahead_s < 0:
        assert calls(provider) == before + 1, "by its own clock the token had minutes left: it must have asked again"
    await is_refused(first, "alice", 401, "invalid_token", backend=backend)


async def test_an_entry_never_lives_in_redis_past_exp_or_ttl(pair, provider, redis):
    first, _ = pair
    provider.answers["alice"] = {**ALICE, "exp": time.time() + 20}
    await passes(first, "alice", "alice")
    assert 0 < redis.pttl(await entry_of(redis)) <= 20_000
    redis.flushall()
    await passes(first, "canary", "canary")
    assert 0 < redis.pttl(await entry_of(redis)) <= 60_000


# A Redis that lies.


def _garbage(redis: Redis, name: bytes) -> None:
    redis.set(name, os.urandom(300), ex=60)


def _flipped(where: int) -> Callable[[Redis, bytes], None]:
    def harm(redis: Redis, name: bytes) -> None:
        value = bytearray(redis.get(name) or b"")
        value[where] ^= 1
        redis.set(name, bytes(value), ex=60)

    return harm


def _cut(redis: Redis, name: bytes) -> None:
    redis.set(name, (redis.get(name) or b"")[:-1], ex=60)


def _wrong_type(redis: Redis, name: bytes) -> None:
    redis.delete(name)
    redis.lpush(name, b"a", b"b")
    redis.expire(name, 60)


def _hash(redis: Redis, name: bytes) -> None:
    redis.delete(name)
    redis.hset(name, mapping={"active": "true", "sub": "mallory"})
    redis.expire(name, 60)


def _persisted(redis: Redis, name: bytes) -> None:
    redis.persist(name)


def _prolonged(redis: Redis, name: bytes) -> None:
    redis.expire(name, 3600)


HARMS = {
    "random bytes": _garbage,
    "nothing": lambda redis, name: redis.set(name, b"", ex=60),
    "clear JSON": lambda redis, name: redis.set(name, b'{"active": true, "sub": "mallory"}', ex=60),
    "100 MiB would be too much, 1 MiB is": lambda redis, name: redis.set(name, b"\x01" * 2**20, ex=60),
    "the version changed": _flipped(0),
    "the nonce changed": _flipped(5),
    "the text changed": _flipped(40),
    "the tag changed": _flipped(-1),
    "the last byte gone": _cut,
    "a list": _wrong_type,
    "a hash": _hash,
    "its expiry taken away": _persisted,
    "its life prolonged": _prolonged,
}


@pytest.mark.parametrize("harm", HARMS)
async def test_an_entry_that_was_tampered_with_is_a_miss(pair, provider, backend, redis, harm):
    first, second = pair
    await passes(first, "alice", "alice")
    HARMS[harm](redis, await entry_of(redis))
    await passes(second, "alice", "alice")
    assert tier(second) == "provider"
    assert calls(provider) == 2
    await passes(second, "canary", "canary")
    await passes(first, "canary", "canary")
    assert tier(first) == "redis"


async def test_an_entry_that_was_copied_from_another_key_is_a_miss(pair, provider, backend, redis):
    """Whoever writes to Redis could otherwise make every token the administrator's."""
    first, second = pair
    provider.answers["root"] = {**ALICE, "sub": "root", "scope": "read write"}
    await passes(first, "alice", "alice")
    alices = await entry_of(redis)
    await passes(first, "root", "root")
    roots = await entry_of(redis, besides=alices)
    redis.copy(roots, alices, replace=True)
    await passes(second, "alice", "alice")
    assert tier(second) == "provider"
    await is_refused(second, "alice", 403, "insufficient_scope", "/scope", backend)
    await passes(second, "root", "root")
    assert tier(second) == "redis"


async def test_a_no_does_not_become_a_yes_by_another_ones_entry(pair, provider, backend, redis):
    first, second = pair
    await passes(first, "alice", "alice")
    alices = await entry_of(redis)
    await is_refused(first, "junk", 401, "invalid_token", backend=backend)
    junks = await entry_of(redis, besides=alices)
    redis.copy(alices, junks, replace=True)
    await is_refused(second, "junk", 401, "invalid_token", backend=backend)
    assert tier(second) == "provider"


async def test_an_entry_that_was_put_back_after_a_purge_is_a_miss(pair, provider, backend, redis):
    first, _ = pair
    await passes(first, "alice", "alice")
    name = await entry_of(redis)
    kept, left_ms = redis.get(name), redis.pttl(name)
    assert await first.service._serving.purge({"token": "alice"}) == 1
    redis.set(name, kept or b"", px=left_ms)
    provider.answers["alice"] = {"active": False}
    for gateway in pair:
        await is_refused(gateway, "alice", 401, "invalid_token", backend=backend)


SKEW_S = 0.5
TTL_S = 2
PUT_BACK = {
    "set": lambda redis, name, sealed, dumped, first_ms: redis.set(name, sealed, px=first_ms),
    "restore": lambda redis, name, sealed, dumped, first_ms: redis.restore(name, first_ms, dumped, replace=True),
}


@pytest.mark.parametrize("how", PUT_BACK)
async def test_an_entry_that_is_put_back_again_and_again_lives_no_longer(start, road, provider, backend, redis, how):
    """Longer than its ttl and the clocks' skew on one route, than `max_age` and the skew on the other."""
    routes = [
        {"name": name, "match": {"path": f"/{name}/**"}, "auth": auth}
        for name, auth in (("api", {}), ("strict", {"max_age": "1s"}))
    ]
    first, second = [await start(road, routes=routes, ttl=f"{TTL_S}s", clock_skew=f"{SKEW_S:g}s") for _ in range(2)]
    began = time.monotonic()
    await passes(first, "alice", "alice")
    name = await entry_of(redis)
    sealed, dumped, first_ms = redis.get(name), redis.dump(name), redis.pttl(name)
    # What the second one is asked finds the entry, and it is the same call's.
    provider.answers["alice"] = {"active": False}
    lasted_s = {"api": 0.0, "strict": 0.0}
    while (now_s := time.monotonic() - began) < TTL_S + SKEW_S + 1.5:
        for path in lasted_s:
            PUT_BACK[how](redis, name, sealed, dumped, first_ms)
            answer = await second.get(marked(f"/{path}"), token="alice")
            if answer.status == 200:
                lasted_s[path] = now_s
            else:
                assert answer.status == 401
        await asyncio.sleep(0.05)
    assert lasted_s["api"] <= TTL_S + SKEW_S
    assert lasted_s["strict"] <= 1 + SKEW_S


async def test_a_purge_is_not_undone_by_a_log_that_is_put_back(pair, provider, backend, redis):
    first, second = pair
    await passes(first, "alice", "alice")
    name = await entry_of(redis)
    [log] = [each for each in redis.scan_iter() if each.endswith(b":purges")]
    sealed, log_before = redis.get(name), redis.dump(log)
    assert await first.service._serving.purge({"token": "alice"}) == 1
    provider.answers["alice"] = {"active": False}
    await asyncio.sleep(1)  # the fleet has followed
    for _ in range(2):
        redis.restore(log, 0, log_before, replace=True)
        until_s = time.monotonic() + 1.5
        while time.monotonic() < until_s:
            for gateway in pair:
                redis.set(name, sealed or b"", px=60_000)
                await is_refused(gateway, "alice", 401, "invalid_token", backend=backend)
            await asyncio.sleep(0.05)
    # The fleet goes on sharing, in a log of a later epoch.
    await passes(first, "canary", "canary")
    await passes(second, "canary", "canary")
    assert tier(second) == "redis"


async def test_a_no_is_asked_for_once_where_some_route_tolerates_old_facts(start, road, provider, backend):
    routes = [{"name": "api", "match": {"path": "/api/**"}, "auth": {"stale_if_error": "5m"}}]
    fleet = [await start(road, routes=routes, ttl="1s") for _ in range(3)]
    for gateway in fleet:
        await passes(gateway, "alice", "alice")
    assert calls(provider) == 1
    await asyncio.sleep(1.1)
    provider.answers["alice"] = {"active": False}
    for gateway in fleet:
        await is_refused(gateway, "alice", 401, "invalid_token", backend=backend)
    assert calls(provider) == 2
    # And what is known to be revoked stands in for nothing, at nobody.
    provider.answers["alice"] = Reply(500)
    await asyncio.sleep(1)
    for gateway in fleet:
        await is_refused(gateway, "alice", 401, "invalid_token", backend=backend)


ROTATION = (["the-old-secret-of-all"], ["the-old-secret-of-all", "the-new-secret-of-all"])
ROTATION = (*ROTATION, ROTATION[1][::-1], ROTATION[1][1:])


@lanes(FAST)
@pytest.mark.parametrize("step", range(3))
async def test_a_purge_reaches_everybody_while_the_secret_changes(start, road, provider, backend, step):
    fleet = [await start(road, secret=secrets) for secrets in ROTATION[step : step + 2]]
    for one in fleet:
        provider.answers["alice"] = ALICE
        for gateway in fleet:
            await passes(gateway, "alice", "alice")
        provider.answers["alice"] = {"active": False}
        await one.service._serving.purge({"token": "alice"})
        await is_refused(one, "alice", 401, "invalid_token", backend=backend)
        await asyncio.sleep(1)
        for gateway in fleet:
            await is_refused(gateway, "alice", 401, "invalid_token", backend=backend)
            await gateway.service._serving.purge({})
        await asyncio.sleep(1)


async def test_a_fleet_with_another_secret_shares_nothing(start, road, provider, backend, redis):
    first, second = await start(road), await start(road, secret="another-secret-of-a-fleet")
    await passes(first, "alice", "alice")
    firsts = await entry_of(redis)
    await passes(second, "alice", "alice")
    assert calls(provider) == 2
    await entry_of(redis, besides=firsts)


async def test_nothing_of_a_token_or_its_facts_lies_in_redis_in_clear(pair, provider, redis):
    first, _ = pair
    await passes(first, "alice", "alice")
    await entry_of(redis)
    held = b"".join(name + (redis.dump(name) or b"") for name in redis.scan_iter())
    for part in ("alice", "orders", "sso.example.com", CACHE_SECRET, CLIENT_SECRET):
        assert part.encode() not in held


# A Redis that is away, slow, read-only or full.

ROADS = {
    "silent": SILENT,
    "late": Weather(latency_s=1.0),
    "reset": RESETTING,
    "half-closed": HALF_CLOSING,
    "garbled": GARBLED,
    "a byte a tick": Weather(bytes_per_s=20, slice_bytes=1),
}
BRIEF_S = 0.1


@lanes(FAST)
@pytest.mark.parametrize("ways", ["to_server", "to_client", "both"])
@pytest.mark.parametrize("road_is", ROADS)
async def test_a_redis_that_cannot_be_talked_to_costs_its_time_out_now_and_then(
    start, road, provider, backend, road_is, ways
):
    gateway = await start(road, timeout=f"{BRIEF_S:g}s")
    await passes(gateway, "alice", "alice")
    for way in (road.to_server, road.to_client):
        if ways == "both" or way is getattr(road, ways, None):
            way.become(ROADS[road_is])
    took = []
    for number in range(20):
        token = f"user{number}"
        provider.answers[token] = {**ALICE, "sub": token}
        began = time.monotonic()
        await passes(gateway, token, token)
        took.append(time.monotonic() - began)
    # A few pay the time-out, most nothing: it is not asked again for a moment.
    assert sum(one >= BRIEF_S for one in took) <= 5, took
    assert max(took) < BRIEF_S + 2
    assert {calls(provider, f"user{number}") for number in range(20)} == {1}
    road.become(CLEAR)
    await _is_shared_again(gateway, start, road, provider)


async def _is_shared_again(gateway: RunningGateway, start: Start, road: FaultProxy, provider: ScriptedProvider) -> None:
    """Redis is used again within seconds of its return: another gateway finds what this one learns."""
    other = await start(road)
    for number in range(100):
        token = f"late{number}"
        provider.answers[token] = {**ALICE, "sub": token}
        await passes(gateway, token, token)
        await passes(other, token, token)
        if tier(other) == "redis":
            return
        await asyncio.sleep(0.1)
    raise AssertionError("what one gateway learns never reaches the other")


async def test_a_redis_that_is_not_there_costs_no_answer(start, road, provider, backend):
    gateway = await start(road)
    await road.stop()
    for token, user in (("alice", "alice"), ("canary", "canary")):
        await passes(gateway, token, user)
    late = await start(road)  # the port is closed from its first moment
    await passes(late, "alice", "alice")
    await road.start()
    await _is_shared_again(gateway, start, road, provider)


async def test_a_redis_that_is_left_alone_is_asked_nothing(start, road, provider, backend):
    gateway = await start(road, timeout=f"{BRIEF_S:g}s")
    await passes(gateway, "alice", "alice")
    road.to_client.become(SILENT)
    await passes(gateway, "canary", "canary")
    before = road.to_server.carried_bytes, road.connections
    began = time.monotonic()
    for number in range(50):
        token = f"user{number}"
        provider.answers[token] = {**ALICE, "sub": token}
        await passes(gateway, token, token)
    spent_s = time.monotonic() - began
    # Fifty lookups and fifty writes are 10 kB and more.
    assert road.to_server.carried_bytes - before[0] < 2_000 * (1 + spent_s)
    assert road.connections - before[1] <= 4 * (1 + spent_s)


def _read_only(redis: Redis) -> None:
    redis.config_set("replica-serve-stale-data", "yes")
    redis.replicaof("127.0.0.1", "1")


def _full(redis: Redis) -> None:
    redis.config_set("maxmemory-policy", "noeviction")
    redis.config_set("maxmemory", "1")


@pytest.mark.parametrize("state", [_read_only, _full], ids=["read-only", "full"])
async def test_a_redis_that_takes_no_writes_costs_no_answer(pair, start, road, provider, backend, redis, state):
    first, second = pair
    await passes(first, "alice", "alice")
    state(redis)
    for gateway in pair:
        for number in range(10):
            token = f"user{number}"
            provider.answers[token] = {**ALICE, "sub": token}
            await passes(gateway, token, token)
    await passes(second, "alice", "alice")
    redis.replicaof("no", "one")
    redis.config_set("maxmemory", "0")
    await _is_shared_again(first, start, road, provider)


async def test_a_redis_that_is_emptied_costs_one_call(pair, provider, backend, redis):
    first, second = pair
    await passes(first, "alice", "alice")
    redis.flushall()
    await passes(second, "alice", "alice")
    assert calls(provider) == 2


# Junk.


@lanes(FAST)
async def test_junk_pushes_out_no_good_token(start, provider, backend):
    gateway = await start(max_entries=20)
    good = [f"user{number}" for number in range(20)]
    for token in good:
        provider.answers[token] = {**ALICE, "sub": token}
        await passes(gateway, token, token)
    await _flood(gateway, [f"junk{number}" for number in range(300)])
    for token in good:
        await passes(gateway, token, token)
        assert tier(gateway) == "local"
    assert len(provider.introspections) == 320
    local = gateway.service._serving._worker.generation.cache.local
    assert len(local) <= 20 + 2
    assert backend_users(backend) == set(good)


def backend_users(backend: Backend) -> set[str]:
    return {user for request in backend.requests for user in request.values(USER_HEADER)}


@lanes(FAST)
async def test_junk_is_bounded_at_the_provider_and_asked_about_once(start, road, provider, backend):
    settings = {"p": provider_settings(provider, issuer=ISSUER, max_concurrency=4, timeout="10s")}
    fleet = [await start(road, providers=settings) for _ in range(2)]
    provider.delay_s = 0.02
    junk = [f"junk{number}" for number in range(30)]
    for gateway in (*fleet, *fleet):
        await _flood(gateway, junk * 5)
    assert len(provider.introspections) == 30
    assert provider.in_flight_max <= 4
    assert backend.requests == []
    await passes(fleet[0], "canary", "canary")


async def _flood(gateway: RunningGateway, tokens: list[str], at_once: int = 50) -> None:
    slots = asyncio.Semaphore(at_once)

    async def one(token: str) -> int:
        async with slots:
            return (await gateway.ask(request("GET", marked(), token=token))).status

    assert set(await asyncio.gather(*map(one, tokens))) == {401}


# Errors are never cached; who gives up takes nobody with it.


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
async def test_an_error_is_cached_in_no_tier(pair, provider, backend, redis, status):
    first, second = pair
    provider.answers["alice"] = Reply(status, ALICE)
    for gateway in pair:
        await is_refused(gateway, "alice", 503, "introspection_unavailable", backend=backend)
    assert calls(provider) == (4 if status == 503 else 2)  # what may pass is tried once more
    assert entries(redis) == set()
    provider.answers["alice"] = ALICE
    await passes(second, "alice", "alice")
    await passes(first, "alice", "alice")
    assert tier(first) == "redis"


@pytest.mark.parametrize("leaver", ["first", "middle", "all but the last"])
async def test_a_caller_that_gives_up_does_not_fail_the_others(start, provider, backend, leaver):
    gateway = await start()
    provider.delay_s = 0.5
    targets = [marked() for _ in range(6)]
    clients = []
    for target in targets:
        client = await gateway.client()
        await client.send(request("GET", target, token="alice"))
        clients.append(client)
        await provider.wait_for_calls()
    leaving = {"first": [0], "middle": [2, 3], "all but the last": [0, 1, 2, 3, 4]}[leaver]
    for index in leaving:
        clients[index].reset()
    for index in set(range(6)) - set(leaving):
        assert said(await clients[index].answer()) == (targets[index], ["alice"])
    assert calls(provider) == 1
    assert sum(reached(backend, targets[index]) for index in leaving) == 0
    await passes(gateway, "canary", "canary")


async def test_an_answer_that_all_have_left_is_remembered(start, provider, backend):
    gateway = await start()
    provider.delay_s = 0.3
    async with AsyncExitStack() as stack:
        for _ in range(3):
            client = await stack.enter_async_context(await gateway.client())
            await client.send(request("GET", marked(), token="alice"))
        await provider.wait_for_calls()
        client.reset()
    await asyncio.sleep(0.5)
    provider.delay_s = 0
    await passes(gateway, "alice", "alice")
    assert (calls(provider), tier(gateway)) == (1, "local")
