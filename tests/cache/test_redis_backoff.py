from gateway.cache.redis_backoff import BACKOFF_S, RedisBackoff


def test_without_a_failure_everything_is_tried() -> None:
    rest = RedisBackoff()
    assert rest.allows(0)
    assert rest.allows(0)
    assert not rest.is_backing_off(13)


def test_after_a_failure_nothing_is_tried_for_a_moment_and_then_one_at_a_time() -> None:
    rest = RedisBackoff()
    rest.failed(10)
    assert rest.is_backing_off(10)
    assert not rest.allows(10 + BACKOFF_S - 0.01)
    assert rest.allows(10 + BACKOFF_S)
    assert not rest.allows(10 + BACKOFF_S)
    assert rest.allows(10 + 2 * BACKOFF_S)  # the one that tried was never heard of again


def test_a_success_ends_it() -> None:
    rest = RedisBackoff()
    rest.failed(10)
    assert rest.allows(12)
    rest.succeeded()
    assert rest.allows(12)
    assert not rest.is_backing_off(13)
