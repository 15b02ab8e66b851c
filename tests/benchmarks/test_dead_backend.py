"""A few hundred requests to one dead backend of two, as `backends.py` sends them."""

import shutil

import pytest
from benchmarks.backends_run import round_of


@pytest.mark.parametrize("name", ["gateway", "nginx"])
async def test_one_that_refuses_costs_nobody_anything(name, tmp_path):
    if name == "nginx" and shutil.which("nginx") is None and shutil.which("nginx", path="/usr/sbin") is None:
        pytest.skip("there is no nginx on this machine")
    noticed = await round_of("refuses", name, 200, 10, tmp_path)
    assert (noticed.answered, noticed.failed, noticed.slow) == (200, 0, 0)


async def test_a_backend_that_is_not_well_fails_requests_until_its_health_was_asked(tmp_path):
    noticed = await round_of("is not well", "gateway", 500, 10, tmp_path)
    assert noticed.answered + noticed.failed == 500
    assert 0 < noticed.failed < 240  # half of 500, were it asked all the time


async def test_one_that_dies_fails_what_was_sent_to_it_and_is_not_idempotent(tmp_path):
    noticed = await round_of("dies under load", "gateway", 600, 10, tmp_path)
    assert noticed.answered + noticed.failed == 600
    assert noticed.failed <= 10  # of each client one
