"""Redis goes away under load: what it costs the callers, and what the provider gets of it."""

import asyncio
import time

from support.introspecting import CountingMeter
from support.redis_server import RedisServer
from support.scripted_provider import ScriptedProvider

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts
from gateway.cache.key import HmacKeys
from gateway.cache.local import LocalCache
from gateway.cache.redis import RedisTier
from gateway.config.provider_model import Provider
from gateway.config.redis_url import parse_redis_url
from gateway.introspection.authenticator import Authenticator, Question
from gateway.introspection.lifetime import Lifetimes
from gateway.provider.provider import ProviderClient

TIMEOUT_S = 0.2
CALL_S = 0.02
CALLS_AT_A_TIME = 4


async def test_an_outage_floods_no_provider_and_costs_no_caller_more_than_the_time_out(own_redis: RedisServer) -> None:
    keys, meter = HmacKeys(b"secret"), CountingMeter()
    tier = RedisTier(
        parse_redis_url(own_redis.url),
        keys,
        timeout_s=TIMEOUT_S,
        life_max_s=60,
        clock=time.time,
        monotonic=time.monotonic,
    )
    async with ScriptedProvider() as provider:
        provider.default = {"active": True, "sub": "alice"}
        provider.delay_s = CALL_S
        settings = {"introspection_endpoint": provider.introspection_endpoint, "client_id": "gw", "client_auth": "none"}
        client = ProviderClient("p", Provider(**settings, timeout="10s", max_concurrency=CALLS_AT_A_TIME))
        authenticator = Authenticator(
            {"p": client},
            keys=keys,
            local=LocalCache(1000),
            shared=tier,
            meter=meter,
            lifetimes=Lifetimes(60, 60),
            clock=time.time,
            monotonic=time.monotonic,
            leases=tier.leases,
        )
        await tier.start(authenticator.forget)
        try:
            own_redis.pause()
            tokens = [f"token-{number}" for number in range(50)]
            began = time.monotonic()
            questions = [Question("p", Token(token)) for token in tokens for _ in range(10)]
            found = await asyncio.gather(*(authenticator.look_up(question) for question in questions))
            took_s = time.monotonic() - began
            assert {type(each.result) for each in found} == {Facts}
            assert len(provider.introspections) == len(tokens)
            assert provider.in_flight_max <= CALLS_AT_A_TIME
            # All of them found out at once; then the calls took their turns, and settling was not tried.
            assert took_s < TIMEOUT_S + len(tokens) / CALLS_AT_A_TIME * CALL_S + 2
            for token in ("late-1", "late-2", "late-3"):
                began = time.monotonic()
                await authenticator.look_up(Question("p", Token(token)))
                assert time.monotonic() - began < TIMEOUT_S + CALL_S + 1
            assert meter.leases == {"unavailable": len(tokens) + 3}
        finally:
            own_redis.resume()
            await authenticator.close(1)
            await tier.close()
            await client.close()
