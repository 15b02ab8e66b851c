import os
import time

import pytest
from observe.test_metrics import samples

from gateway.observe.process_usage import process_usage
from gateway.observe.snapshots import merge, without_gauges


def test_what_this_process_uses():
    used = samples(process_usage())
    assert 0 < used["process_cpu_seconds_total{}"] <= time.process_time() + 0.1
    assert 2**20 < used["process_resident_memory_bytes{}"] < 2**40
    assert time.time() - 86_400 < used["process_start_time_seconds{}"] <= time.time() + 1
    assert used["process_max_fds{}"] >= used["process_open_fds{}"] >= 3


def test_each_descriptor_counts():
    before = samples(process_usage())["process_open_fds{}"]
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
    try:
        assert samples(process_usage())["process_open_fds{}"] == before + 20
    finally:
        for fd in fds:
            os.close(fd)


def test_of_several_processes_the_sum_and_the_first_start():
    one = process_usage()
    two = {**one, "least": {"process_start_time_seconds": [[[], 1.0]]}}
    found = samples(merge([one, two]))
    alone = samples(one)
    for name in ("process_cpu_seconds_total{}", "process_resident_memory_bytes{}", "process_open_fds{}"):
        assert found[name] == pytest.approx(2 * alone[name])
    assert found["process_start_time_seconds{}"] == 1.0


def test_cpu_time_of_a_process_that_is_gone_stays_and_its_memory_does_not():
    found = samples(merge([without_gauges(process_usage())]))
    assert found["process_cpu_seconds_total{}"] > 0
    assert found["process_resident_memory_bytes{}"] == 0
