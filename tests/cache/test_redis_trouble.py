import logging

import pytest
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.cache.purge_log import LogGoneError
from gateway.cache.redis_trouble import RedisTrouble


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.event for record in caplog.records]


def test_each_change_has_one_line_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    trouble = RedisTrouble()
    for second in range(100):
        trouble.failed(AuthenticationError("Authentication required."), float(second))
    assert events(caplog) == ["redis_away"]
    assert "NOAUTH" in caplog.records[0].fields["reason"]
    assert "NOAUTH" in trouble.reason
    for _ in range(3):
        trouble.succeeded()
    assert events(caplog) == ["redis_away", "redis_back"]
    assert trouble.reason == ""


def test_a_start_that_succeeds_is_told_once_too(caplog: pytest.LogCaptureFixture) -> None:
    trouble = RedisTrouble()
    trouble.succeeded()
    trouble.succeeded()
    assert events(caplog) == ["redis_back"]


def test_another_reason_is_a_change_but_not_more_often_than_every_ten_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trouble = RedisTrouble()
    trouble.failed(RedisConnectionError("refused"), 0.0)
    trouble.failed(AuthenticationError("Authentication required."), 1.0)
    assert events(caplog) == ["redis_away"]
    assert "NOAUTH" in trouble.reason  # which /health/ready shows at once
    trouble.failed(AuthenticationError("Authentication required."), 11.0)
    assert events(caplog) == ["redis_away", "redis_away"]


def test_a_redis_that_comes_and_goes_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    trouble = RedisTrouble()
    for tenth in range(600):  # a minute
        trouble.failed(RedisConnectionError("refused"), tenth / 10)
        trouble.succeeded()
    assert len(caplog.records) <= 2 * 6 + 1


def test_operations_that_fail_are_told_once_a_minute_for_each_kind(caplog: pytest.LogCaptureFixture) -> None:
    trouble = RedisTrouble()
    for second in range(119):
        trouble.operation_failed(ResponseError("LOADING"), float(second))
        trouble.operation_failed(TimeoutError(), float(second))
    assert events(caplog) == ["redis_failing"] * 4


def test_a_password_that_redis_quotes_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    trouble = RedisTrouble(["hunter2-and-more"])
    trouble.failed(ResponseError("ERR unknown command 'AUTH hunter2-and-more'"), 0.0)
    assert "hunter2" not in caplog.text + trouble.reason + str(caplog.records[0].fields)


def test_a_silent_one_keeps_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    trouble = RedisTrouble(is_silent=True)
    trouble.failed(LogGoneError(), 0.0)
    assert caplog.records == []
    assert "log of purges is gone" in trouble.reason
