from contextlib import ExitStack

import pytest

from gateway.introspection.outage import Outages


@pytest.fixture
def outages():
    return Outages()


def fails_for(outages, count):
    for number in range(count):
        outages.record("p", f"network-{number}", is_answer=False)


def test_it_takes_failures_for_several_networks(outages):
    for _ in range(100):
        outages.record("p", "one network", is_answer=False)
    assert not outages.is_on("p")
    fails_for(outages, 4)
    assert outages.is_on("p")
    assert not outages.is_on("another")


def test_an_answer_in_between_begins_anew_and_one_behind_them_ends_it(outages):
    fails_for(outages, 4)
    outages.record("p", "another", is_answer=True)
    fails_for(outages, 4)
    assert not outages.is_on("p")
    fails_for(outages, 5)
    assert outages.is_on("p")
    outages.record("p", "another", is_answer=True)
    assert not outages.is_on("p")


def test_nobody_is_spared_a_question_where_there_is_no_outage(outages):
    with outages.asking("p", "a"):
        assert not outages.should_fall_back("p", "a")


def test_one_of_each_network_asks_and_few_in_all(outages):
    fails_for(outages, 5)
    assert not outages.should_fall_back("p", "a")
    with outages.asking("p", "a"):
        assert outages.should_fall_back("p", "a")
        with outages.asking("p", "a"):  # it has nothing to fall back on
            assert outages.should_fall_back("p", "a")
        assert outages.should_fall_back("p", "a")
        assert not outages.should_fall_back("p", "b")
        with ExitStack() as stack:
            for number in range(15):
                stack.enter_context(outages.asking("p", f"network-{number}"))
            assert outages.should_fall_back("p", "b")
    assert not outages.should_fall_back("p", "a")
