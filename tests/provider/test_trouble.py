import logging

import pytest

from gateway.provider.errors import DeadlineError, FailingError
from gateway.provider.trouble import Trouble

REFUSED = FailingError("it refused the gateway's own call with status 401; check client_id")


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO)
    return lambda: [record.event for record in caplog.records]


def test_the_beginning_and_the_end_are_told_once(told, caplog) -> None:
    trouble = Trouble("sso")
    for now_s in range(100):
        trouble.failed(REFUSED, now_s)
    trouble.succeeded()
    trouble.succeeded()
    assert told() == ["provider_failing", "provider_answers"]
    assert caplog.records[0].fields == {"provider": "sso", "reason": REFUSED.reason}


def test_another_kind_of_failure_is_news(told) -> None:
    trouble = Trouble("sso")
    trouble.failed(REFUSED, 0.0)
    trouble.failed(DeadlineError("slow"), 11.0)
    assert told() == ["provider_failing", "provider_failing"]


def test_what_fails_now_and_then_does_not_fill_the_log(told) -> None:
    trouble = Trouble("sso")
    for call in range(1_000):
        trouble.failed(REFUSED, call * 0.02)
        trouble.succeeded()
    assert len(told()) == 4
