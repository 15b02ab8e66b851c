"""What one identity may spend: alone, and of what it borrows from the fleet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.allowance import ASK, Allowance, Borrow
from gateway.limits.fleet_size import FleetSize
from gateway.limits.limit import CompiledLimit

NOW = 1000.0


def limit(quota: int = 100, window_s: float = 1.0, burst: int | None = None) -> CompiledLimit:
    return CompiledLimit("l", quota, window_s, burst or quota, ("sub",))


def made(of: CompiledLimit | None = None, workers: int = 1) -> Allowance:
    return Allowance(of or limit(), "a", workers, NOW)


def spend_all(each: Allowance, now_s: float, *, is_shared: bool) -> int:
    spent = 0
    while each.wait_s(now_s, is_shared=is_shared) == 0:
        each.spend(now_s, is_shared=is_shared)
        spent += 1
    return spent


def test_alone_it_is_a_token_bucket():
    each = made(limit(10, 1.0, burst=20))
    assert spend_all(each, NOW, is_shared=False) == 20
    assert 0 < each.wait_s(NOW, is_shared=False) <= 0.1
    assert spend_all(each, NOW + 0.55, is_shared=False) == 5
    assert spend_all(each, NOW + 100, is_shared=False) == 20


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 8), st.lists(st.floats(0, 3), max_size=60))
def test_alone_it_never_spends_more_than_its_share(quota, burst, workers, pauses):
    each = made(limit(quota, 1.0, burst=burst), workers)
    now_s, spent = NOW, 0
    for pause_s in pauses:
        now_s += pause_s
        spent += spend_all(each, now_s, is_shared=False)
    assert spent <= max(1.0, burst / workers) + (now_s - NOW) * quota / workers + 0.001


def test_a_share_of_less_than_one_still_lets_one_pass():
    each = made(limit(2, 60.0), workers=8)
    assert spend_all(each, NOW, is_shared=False) == 1
    assert spend_all(each, NOW + 239, is_shared=False) == 0
    assert spend_all(each, NOW + 241, is_shared=False) == 1


@pytest.mark.parametrize(
    ("fleet", "instance", "each"),
    [
        (0, 2, 50),
        (2, 2, 50),
        (4, 2, 50),
        (8, 2, 25),
        (8, 8, 12),
        (1, 1, 100),
        (2, 1, 100),
        (3, 1, 66),
        (8, 1, 25),
        (1000, 1, 25),
    ],
)
def test_a_fleet_of_eight_instances_without_its_redis_lets_twice_the_limit_in_at_most(fleet, instance, each):
    size = FleetSize()
    if fleet:
        size.learned(fleet)
    one = Allowance(limit(100), "a", instance, NOW, size)
    assert spend_all(one, NOW, is_shared=False) == each
    assert spend_all(one, NOW + 1, is_shared=False) <= each + 1
    assert each * fleet <= 200 or fleet > 8 * instance


def test_with_a_fleet_a_small_limit_is_asked_for_and_never_spent_on_credit():
    each = made(limit(10))
    assert each.wait_s(NOW, is_shared=True) == ASK
    asked = each.borrow(NOW, 1)
    assert (asked.needs, asked.change) == (1, 0)
    assert each.lent(asked, 3, 7.0, NOW)
    assert spend_all(each, NOW, is_shared=True) == 2


def test_far_below_a_large_limit_nobody_waits():
    each = made(limit(1000))
    assert spend_all(each, NOW, is_shared=True) == 10  # one hundredth, which the fleet learns of
    asked = each.borrow(NOW, 0)
    assert asked.change == -10
    each.lent(asked, asked.extra, 900.0, NOW)
    assert each.wait_s(NOW, is_shared=True) == 0


@pytest.mark.parametrize(("workers", "credit"), [(1, 10), (10, 10), (11, 9), (50, 2), (100, 1), (101, 0), (10_000, 0)])
def test_all_workers_together_give_credit_for_a_tenth(workers, credit):
    size = FleetSize()
    size.learned(workers)
    each = Allowance(limit(1000), "a", 1, NOW, size)
    assert spend_all(each, NOW, is_shared=True) == credit <= 1000 / 10 / workers


def test_many_workers_pay_with_a_tenth_of_the_rate_together():
    size = FleetSize()
    size.learned(50)
    each = Allowance(limit(1000), "a", 1, NOW, size)
    assert spend_all(each, NOW, is_shared=True) == 2
    assert each.wait_s(NOW + 0.49, is_shared=True) == ASK
    assert each.wait_s(NOW + 0.51, is_shared=True) == 0  # 1000 / 10 / 50 = 2 in a second
    assert each.wait_s(NOW + 0.51, is_shared=True) == 0


def test_there_is_no_credit_where_the_fleet_is_half_empty():
    each = made(limit(1000))
    each.lent(Borrow(0, 0, 0), 0, 499.0, NOW)
    assert each.wait_s(NOW, is_shared=True) == ASK


def test_where_the_fleet_is_short_nobody_asks_until_there_can_be_one():
    each = made(limit(10))
    assert not each.lent(each.borrow(NOW, 1), 0, -0.5, NOW)
    assert each.wait_s(NOW, is_shared=True) == pytest.approx(0.15)
    assert each.wait_s(NOW + 0.16, is_shared=True) == ASK


def test_a_slow_limit_is_looked_at_again_within_a_second_because_others_may_have_given_back():
    each = made(limit(10, 3600.0))
    assert not each.lent(each.borrow(NOW, 1), 0, 0.0, NOW)
    assert each.wait_s(NOW, is_shared=True) == pytest.approx(360)  # what the client is told
    assert each.wait_s(NOW + 0.9, is_shared=True) == pytest.approx(359.1)
    assert each.wait_s(NOW + 1.01, is_shared=True) == ASK


def test_of_what_was_needed_as_many_are_served_as_are_given():
    each = made(limit(10))
    assert each.lent(each.borrow(NOW, 5), 3, 0.2, NOW) == 3
    assert each.borrowed == 0
    assert each.lent(Borrow(2, 4, 0), 5, 2.0, NOW) == 2
    assert each.borrowed == 3


def test_a_question_without_an_answer_forgets_no_debt_and_gives_no_credit():
    each = made(limit(1000))
    assert spend_all(each, NOW, is_shared=True) == 10
    asked = each.borrow(NOW, 1)
    assert asked.change == -10
    each.unanswered(asked, NOW)
    assert each.wait_s(NOW, is_shared=True) == ASK
    assert each.borrow(NOW, 0).change == -10
    assert spend_all(each, NOW, is_shared=False) == 1000
    assert each.wait_s(NOW + 60, is_shared=True) == ASK
    each.lent(each.borrow(NOW + 60, 0), 0, 1000.0, NOW + 60)
    assert each.wait_s(NOW + 60, is_shared=True) == 0


def test_whoever_counted_alone_is_not_forgotten_before_its_own_bucket_is_full():
    each = made(limit(10))
    assert spend_all(each, NOW, is_shared=False) == 10
    assert not each.may_be_forgotten(NOW + 0.5, is_shared=True)
    assert each.may_be_forgotten(NOW + 1.1, is_shared=True)


def test_redis_that_lies_refuses_nobody_for_years():
    each = made(limit(10))
    assert not each.lent(each.borrow(NOW, 1), 0, -1e300, NOW)
    assert each.wait_s(NOW, is_shared=True) == pytest.approx(1.1)


def test_what_goes_back_is_all_after_a_while():
    each = made(limit(10))
    each.lent(each.borrow(NOW, 1), 4, 6.0, NOW)
    assert each.settle(NOW + 0.6) is None
    settled = each.settle(NOW + 0.7)
    assert settled is not None
    assert (settled.change, settled.needs, each.borrowed) == (3, 0, 0)
    assert each.is_even


def test_whoever_stays_below_a_hundredth_of_the_rate_never_asks():
    each = made(limit(100))
    for second in range(60):
        now_s = NOW + 1.01 * second
        assert each.wait_s(now_s, is_shared=True) == 0
        each.spend(now_s, is_shared=True)
        assert not each.wants_more(now_s)
        assert each.is_even
    assert each.wait_s(now_s + 0.5, is_shared=True) == ASK  # half of the debt is still there
    assert each.borrow(now_s + 0.5, 1).change == -1  # and is told of, as a whole


@given(st.lists(st.floats(0, 2), max_size=80), st.sampled_from([100, 250, 1000]))
def test_what_no_bucket_learns_of_is_a_hundredth_of_the_limit_at_most(pauses, quota):
    """A worker whose caller takes all the credit there is, and a fleet that counts what it is told of."""
    each, now_s, unknown = made(limit(quota)), NOW, 0
    for pause_s in pauses:
        now_s += pause_s
        unknown += spend_all(each, now_s, is_shared=True)
        asked = each.borrow(now_s, 0)
        unknown += asked.change
        each.lent(asked, 0, float(quota), now_s)
        unknown += spend_all(each, now_s, is_shared=True)
    assert unknown <= (quota // 100) + (now_s - NOW) * quota / 100 + 0.001


def test_a_debt_goes_back_with_what_is_unspent():
    each = made(limit(1000))
    assert spend_all(each, NOW, is_shared=True) == 10
    each.lent(Borrow(0, 4, 0), 4, 900.0, NOW)
    settled = each.settle(NOW + 0.1, at_once=True)
    assert settled is not None
    assert settled.change == 4 - 9  # one was paid meanwhile
    assert each.settle(NOW + 9) is None


def test_a_demand_is_borrowed_for_ahead():
    each = made(limit(1000))
    each.lent(each.borrow(NOW, 1), 51, 900.0, NOW)
    for step in range(60):
        each.spend(NOW + step / 200, is_shared=True)
    assert each.wants_more(NOW + 0.3)
    assert each.borrow(NOW + 0.3, 0).extra == 100


def test_a_slow_demand_is_borrowed_for_in_batches_too():
    """Also where the limit is too small for any credit."""
    each = made(limit(50))
    each.lent(each.borrow(NOW, 1), 1, 49.0, NOW)
    assert each.borrow(NOW + 0.2, 1).extra == 2
    assert made(limit(50)).borrow(NOW, 1).extra == 0  # of a caller who is new nothing is known


def test_a_demand_whose_requests_come_close_together_is_borrowed_for_ahead_too():
    """Sixty a second, of a limit too small for credit: each comes before the demand can be told by the one before."""
    each, asked = made(limit(60)), 0
    for number in range(60):
        now_s = NOW + number / 60
        if each.wait_s(now_s, is_shared=True) == ASK:
            asked += 1
            borrow = each.borrow(now_s, 1)
            each.lent(borrow, 1 + borrow.extra, 50.0, now_s)
        else:
            each.spend(now_s, is_shared=True)
    assert asked <= 15


def test_an_outage_is_no_second_burst():
    each = made(limit(10))
    each.lent(each.borrow(NOW, 1), 1, 0.0, NOW)
    assert spend_all(each, NOW, is_shared=False) == 0
    assert spend_all(each, NOW + 0.35, is_shared=False) == 3


def test_it_is_forgotten_when_a_new_one_would_say_the_same():
    each = made(limit(10))
    assert each.may_be_forgotten(NOW, is_shared=False)
    each.spend(NOW, is_shared=False)
    assert not each.may_be_forgotten(NOW + 0.05, is_shared=False)
    assert each.may_be_forgotten(NOW + 0.11, is_shared=False)
    lent = made(limit(10))
    lent.lent(lent.borrow(NOW, 1), 2, 10.0, NOW)
    assert not lent.may_be_forgotten(NOW + 60, is_shared=True)
