from gateway.cache.redis_backoff import REST_S, RedisBackoff


def test_without_a_failure_everything_is_tried() -> None:
    rest = RedisBackoff()
    assert rest.admits(0)
    assert rest.admits(0)
    assert not rest.resting(13)


def test_after_a_failure_nothing_is_tried_for_a_moment_and_then_one_at_a_time() -> None:
    rest = RedisBackoff()
    rest.failed(10)
    assert rest.resting(10)
    assert not rest.admits(10 + REST_S - 0.01)
    assert rest.admits(10 + REST_S)
    assert not rest.admits(10 + REST_S)
    assert rest.admits(10 + 2 * REST_S)  # the one that tried was never heard of again


def test_a_success_ends_it() -> None:
    rest = RedisBackoff()
    rest.failed(10)
    assert rest.admits(12)
    rest.worked()
    assert rest.admits(12)
    assert not rest.resting(13)
