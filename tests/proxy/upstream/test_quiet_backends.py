"""Which backends have said nothing for too many requests, and are passed over while another answers."""

from gateway.http.backend import Backend
from gateway.proxy.upstream.backend_error import BackendTimeoutError
from gateway.proxy.upstream.backend_state import BackendState, BackendTally
from gateway.proxy.upstream.quiet_backends import QuietBackends


class NobodyWatches:
    def row_ended(self, place: int) -> None:
        pass

    def failed(self, place: int, error: Exception) -> None:
        pass


def states(count: int) -> list[BackendState]:
    backend = Backend("http", "127.0.0.1", 1)
    return [BackendState(place, backend, BackendTally(), NobodyWatches()) for place in range(count)]


def quiet_of(backends: list[BackendState], weights: tuple[int, ...] = (1, 1), at_most: int = 2) -> QuietBackends:
    return QuietBackends(backends, weights, 10.0, at_most)


def choose(quiet: QuietBackends, state: BackendState, times: int = 1, now_s: float = 0.0) -> None:
    """As `RouteBackends.first` does."""
    for _ in range(times):
        state.unheard += 1
        if quiet.is_full(state.place):
            quiet.chosen(state.place, now_s)


def test_after_eight_without_an_answer_it_is_passed_over():
    dead, _ = backends = states(2)
    quiet = quiet_of(backends)
    choose(quiet, dead, 7)
    assert (quiet.any, quiet.heard((0, 1), 0.0)) == (False, (0, 1))
    choose(quiet, dead)
    assert (quiet.any, quiet.heard((0, 1), 0.0)) == (True, (1,))


def test_an_answer_brings_it_back_at_once():
    slow, _ = backends = states(2)
    quiet = quiet_of(backends)
    choose(quiet, slow, 8)
    slow.answered()
    assert (quiet.heard((0, 1), 0.0), quiet.any) == ((0, 1), False)
    choose(quiet, slow, 7)
    assert quiet.heard((0, 1), 0.0) == (0, 1)


def test_where_all_are_quiet_those_with_the_fewest_are_chosen():
    backends = states(2)
    quiet = quiet_of(backends)
    for state in backends:
        choose(quiet, state, 8)
    assert quiet.heard((0, 1), 0.0) == (0, 1)
    choose(quiet, backends[0])
    assert quiet.heard((0, 1), 0.0) == (1,)


def test_what_has_ended_otherwise_is_not_waited_for():
    one, _ = backends = states(2)
    quiet = quiet_of(backends)
    choose(quiet, one, 8)
    one.left()
    assert quiet.heard((0, 1), 0.0) == (0, 1)
    choose(quiet, one)
    assert quiet.heard((0, 1), 0.0) == (1,)
    one.failed(BackendTimeoutError("too late"))
    assert quiet.heard((0, 1), 0.0) == (0, 1)


def test_now_and_then_one_request_tries_it():
    one, _ = backends = states(2)
    quiet = quiet_of(backends)
    choose(quiet, one, 8)
    assert quiet.heard((0, 1), 9.9) == (1,)
    assert quiet.heard((0, 1), 10.0) == (0, 1)
    choose(quiet, one, now_s=10.0)
    assert quiet.heard((0, 1), 10.0) == (1,)


def test_who_has_more_weight_may_have_more():
    light, heavy = backends = states(2)
    quiet = quiet_of(backends, weights=(2, 6))
    choose(quiet, heavy, 23)
    choose(quiet, light, 7)
    assert quiet.heard((0, 1), 0.0) == (0, 1)
    choose(quiet, heavy)
    choose(quiet, light)
    assert quiet.heard((0,), 0.0) == (0,)


def test_no_more_than_may_be_ejected_are_passed_over():
    backends = states(3)
    quiet = quiet_of(backends, weights=(1, 1, 1), at_most=1)
    choose(quiet, backends[0], 8)
    choose(quiet, backends[1], 8)
    assert quiet.heard((0, 1, 2), 0.0) == (1, 2)
    never = quiet_of(states(2), at_most=0)
    assert not never.any
