import asyncio
import gc
import itertools
import logging
import time
import warnings

import pytest
from support.scripted_provider import Fault, ScriptedProvider

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, Indeterminate
from gateway.config.provider_model import Provider
from gateway.provider.provider import ProviderClient
from gateway.provider.provider_identity import identity

TOKEN = Token("t")
ACTIVE = {"active": True, "sub": "alice"}


async def until(condition, within_s=10.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.01)


async def test_a_named_endpoint_needs_no_discovery(client, scripted):
    provider = client(issuer=scripted.issuer, introspection_endpoint=scripted.introspection_endpoint)
    assert provider.ready
    await provider.start()
    await provider.introspect(TOKEN)
    assert [call.path for call in scripted.calls] == ["/introspect"]


async def test_discovery_makes_it_ready(client, scripted):
    scripted.discovery = scripted.metadata()
    scripted.default = ACTIVE
    provider = client(issuer=scripted.issuer)
    assert not provider.ready
    await provider.start()
    await until(lambda: provider.ready)
    assert isinstance(await provider.introspect(TOKEN), Facts)
    assert (provider.issuer, provider.client_id, provider.name) == (scripted.issuer, "gateway", "test")


async def test_it_is_tried_again_in_the_background(client, scripted, caplog):
    provider = client(issuer=scripted.issuer)
    with caplog.at_level(logging.INFO):
        await provider.start()
        await scripted.wait_for_calls(6)  # three attempts, at two places each
        assert not provider.ready
        scripted.discovery = scripted.metadata()
        await until(lambda: provider.ready)
    levels = [record.levelname for record in caplog.records if record.name.startswith("gateway.provider")]
    assert levels == ["WARNING", "INFO"]  # one failure is said once, however often it comes


async def test_a_provider_that_is_not_there_yet_does_not_stop_the_start(client):
    late = ScriptedProvider()
    await late.start()
    await late.stop()
    provider = client(issuer=late.issuer)
    await provider.start()
    answer = await provider.introspect(TOKEN)
    assert isinstance(answer, Indeterminate)
    assert "discovery has not succeeded yet" in answer.reason
    await late.start()
    late.discovery = late.metadata()
    late.default = ACTIVE
    await until(lambda: provider.ready)
    assert isinstance(await provider.introspect(TOKEN), Facts)
    await late.stop()


async def test_a_request_waits_for_the_discovery_that_is_under_way(client, scripted):
    scripted.discovery = scripted.metadata()
    scripted.delay_s = 0.1
    provider = client(issuer=scripted.issuer)
    await provider.start()
    answers = await asyncio.gather(*(provider.introspect(TOKEN) for _ in range(5)))
    assert [type(answer) for answer in answers] == [Inactive] * 5
    assert len([call for call in scripted.calls if "well-known" in call.path]) == 1


async def test_a_request_starts_discovery_where_nothing_did(client, scripted):
    scripted.discovery = scripted.metadata()
    provider = client(issuer=scripted.issuer)
    assert isinstance(await provider.introspect(TOKEN), Inactive)


async def test_requests_do_not_each_ask_a_provider_whose_discovery_just_failed(client, scripted):
    provider = client(issuer=scripted.issuer)
    for _ in range(20):
        assert isinstance(await provider.introspect(TOKEN), Indeterminate)
    assert len(scripted.calls) <= 4


async def test_while_it_is_not_discovered_no_question_goes_out_and_few_wait(client, scripted):
    scripted.delay_s = 0.3
    provider = client(issuer=scripted.issuer, max_waiting=3)
    answers = await asyncio.gather(*(provider.introspect(TOKEN) for _ in range(10)))
    assert all(isinstance(answer, Indeterminate) and not answer.was_asked for answer in answers)
    turned_away = [answer for answer in answers if answer.reason == "too many questions wait for its discovery"]
    assert [answer.retry_after_s for answer in turned_away] == [1.0] * 7


async def test_the_wait_for_discovery_is_within_the_deadline(client, scripted):
    scripted.fault = Fault.SILENCE
    provider = client(issuer=scripted.issuer, timeout="300ms")
    await provider.start()
    started = time.monotonic()
    assert isinstance(await provider.introspect(TOKEN), Indeterminate)
    assert time.monotonic() - started < 3


async def test_a_caller_that_gives_up_does_not_end_discovery_for_the_others(client, scripted):
    scripted.discovery = scripted.metadata()
    scripted.delay_s = 0.2
    provider = client(issuer=scripted.issuer)
    first = asyncio.create_task(provider.introspect(TOKEN))
    second = asyncio.create_task(provider.introspect(TOKEN))
    await scripted.wait_for_calls()
    first.cancel()
    assert isinstance(await second, Inactive)
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_closing_while_discovery_runs_makes_its_callers_unclear_and_not_cancelled(client, scripted):
    scripted.fault = Fault.SILENCE
    provider = client(issuer=scripted.issuer)
    await provider.start()
    waiting = asyncio.create_task(provider.introspect(TOKEN))
    await scripted.wait_for_calls()
    await provider.close()
    assert isinstance(await waiting, Indeterminate)
    assert isinstance(await provider.introspect(TOKEN), Indeterminate)


async def test_close_leaves_no_task_and_no_connection(scripted):
    scripted.discovery = scripted.metadata()
    before = asyncio.all_tasks()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        provider = ProviderClient("p", Provider(issuer=scripted.issuer, client_id="g", client_secret="s"))
        await provider.start()
        await provider.introspect(TOKEN)
        await provider.close()
        del provider
        gc.collect()
        await until(lambda: not {task for task in asyncio.all_tasks() - before if "_serve" not in repr(task)})
    assert [str(warning.message) for warning in seen if "nclosed" in str(warning.message)] == []


async def test_closing_what_was_never_started_or_twice(client):
    provider = client(issuer="https://sso.example.com")
    await provider.close()
    await provider.close()


async def test_many_clients_live_side_by_side(client, scripted):
    scripted.answers["t"] = ACTIVE
    providers = [client(introspection_endpoint=scripted.introspection_endpoint, client_id=f"c{n}") for n in range(20)]
    answers = await asyncio.gather(*(provider.introspect(TOKEN) for provider in providers))
    assert all(isinstance(answer, Facts) for answer in answers)


def test_the_identity_tells_providers_apart():
    sides = (None, "https://a", "https://b", "https://a/x")
    ids = ("g", "gg", "https://a")
    configs = [
        Provider(issuer=issuer, introspection_endpoint=endpoint, client_id=client_id, client_auth="none")
        for issuer, endpoint, client_id in itertools.product(sides, sides, ids)
        if issuer or endpoint
    ]
    assert len({identity(config) for config in configs}) == len(configs)


def test_the_identity_is_the_same_across_the_fleet_and_holds_no_secret():
    one = Provider(issuer="https://a", client_id="g", client_secret="TOPSECRET")
    other = Provider(issuer="https://a", client_id="g", client_secret="rotated", timeout="9s")
    assert identity(one) == identity(other)
    assert b"TOPSECRET" not in identity(one)


async def test_the_identity_does_not_change_with_discovery(client, scripted):
    scripted.discovery = scripted.metadata()
    provider = client(issuer=scripted.issuer)
    before = provider.identity
    await provider.introspect(TOKEN)
    assert provider.ready
    assert provider.identity == before


async def test_closing_during_a_probe_does_not_open_the_breaker(scripted):
    """After a reload another client has the name, and says by it what state its breaker is in."""
    states = []
    settings = {"introspection_endpoint": scripted.introspection_endpoint, "client_id": "g", "client_secret": "s"}
    config = Provider(**settings, breaker={"failures": 1}, timeout="500ms")
    provider = ProviderClient("p", config, on_breaker=states.append)
    scripted.fault = Fault.SILENCE
    asking = asyncio.create_task(provider.introspect(TOKEN))
    await until(lambda: len(scripted.calls) == 2)  # the second is the probe
    await provider.close()
    assert isinstance(await asking, Indeterminate)
    assert states == []
