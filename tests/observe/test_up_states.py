from observe.test_metrics import samples

from gateway.observe.snapshots import joined, merge, without_gauges
from gateway.observe.up_states import UpStates


def test_of_several_workers_the_least_is_shown():
    workers = [
        UpStates(is_ready=True, providers_up={"sso": True, "partner": True}, redis_up=True, cache_entries=3),
        UpStates(is_ready=True, providers_up={"sso": False, "partner": True}, redis_up=False, cache_entries=4),
    ]
    found = samples(merge(worker.snapshot() for worker in workers))
    assert found["gateway_ready{}"] == 1
    assert found['gateway_provider_up{provider="sso"}'] == 0
    assert found['gateway_provider_up{provider="partner"}'] == 1
    assert found["gateway_redis_up{}"] == 0
    assert found["gateway_cache_entries{}"] == 7
    not_ready = UpStates(is_ready=False)
    assert samples(merge([workers[0].snapshot(), not_ready.snapshot()]))["gateway_ready{}"] == 0


def test_without_redis_there_is_no_word_of_it():
    assert "gateway_redis_up{}" not in samples(UpStates(is_ready=True).snapshot())


def test_a_worker_that_is_gone_stands_for_nothing():
    departed = without_gauges(UpStates(is_ready=False, providers_up={"sso": False}, cache_entries=9).snapshot())
    found = samples(merge([departed, UpStates(is_ready=True, providers_up={"sso": True}).snapshot()]))
    assert (found["gateway_ready{}"], found['gateway_provider_up{provider="sso"}']) == (1, 1)
    assert found["gateway_cache_entries{}"] == 0


def test_parts_of_one_snapshot_are_joined_and_not_changed():
    a, b = {"gauges": {"x": 1}}, {"gauges": {"y": 2}, "least": {"z": []}}
    assert joined(a, b) == {"gauges": {"x": 1, "y": 2}, "least": {"z": []}}
    assert a == {"gauges": {"x": 1}}
