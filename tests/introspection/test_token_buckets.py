import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.client_network import network_of
from gateway.introspection.token_buckets import RetryAfter, TokenBucket, TokenBuckets

HERE = "192.0.2.1"


def taken(buckets: TokenBuckets, count: int, now_s: float, address: str = HERE) -> int:
    """How many of `count` it gave."""
    return sum(isinstance(buckets.spend(address, now_s), TokenBucket) for _ in range(count))


def test_so_many_at_once_and_then_at_the_rate() -> None:
    buckets = TokenBuckets(rate=10, burst=5)
    assert taken(buckets, 8, 0) == 5
    assert buckets.spend(HERE, 0) == RetryAfter(0.1)
    assert taken(buckets, 8, 0.35) == 3
    assert taken(buckets, 99, 100) == 5  # it is never fuller than full


def test_each_address_has_its_own() -> None:
    buckets = TokenBuckets(rate=1, burst=2)
    assert taken(buckets, 5, 0) == 2
    assert taken(buckets, 5, 0, "192.0.2.2") == 2


def test_what_is_given_back_can_be_taken_again_and_no_more() -> None:
    buckets = TokenBuckets(rate=1, burst=2)
    spent = [buckets.spend(HERE, 0) for _ in range(2)]
    for bucket in [*spent, *spent]:
        assert isinstance(bucket, TokenBucket)
        buckets.refund(bucket)
    assert taken(buckets, 9, 0) == 2


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:DB8:1:2:0::99", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "192.0.2.1", False),
    ],
)
def test_an_address_of_ipv6_counts_by_its_64(one: str, other: str, is_same: bool) -> None:
    assert (network_of(one) == network_of(other)) == is_same
    buckets = TokenBuckets(rate=1, burst=1)
    assert taken(buckets, 1, 0, one) == 1
    assert taken(buckets, 1, 0, other) == (0 if is_same else 1)


def test_what_costs_double_leaves_half_as_many_and_a_debt_of_one_burst_at_most() -> None:
    buckets = TokenBuckets(rate=1, burst=4)
    spent = [bucket for _ in range(2) if isinstance(bucket := buckets.spend(HERE, 0), TokenBucket)]
    for bucket in spent:
        buckets.charge_again(bucket)
    assert taken(buckets, 9, 0) == 0
    for _ in range(100):
        buckets.charge_again(spent[0])
    assert taken(buckets, 9, 4.5) == 0
    assert taken(buckets, 9, 5) == 1


def test_more_addresses_than_are_told_apart_share_one() -> None:
    buckets = TokenBuckets(rate=1, burst=3, addresses_max=10)
    for number in range(10):
        assert taken(buckets, 9, 0, f"10.0.0.{number}") == 3
    assert sum(taken(buckets, 1, 0, f"10.1.{number // 250}.{number % 250}") for number in range(1_000)) == 3
    assert len(buckets) == 10
    assert taken(buckets, 9, 1, "10.0.0.1") == 1  # those that were known keep their own


def test_addresses_are_forgotten_when_they_are_as_good_as_new() -> None:
    buckets = TokenBuckets(rate=1, burst=3, addresses_max=1_000)
    for number in range(900):
        buckets.spend(f"10.0.{number // 250}.{number % 250}", 0)
    assert len(buckets) == 900
    for number in range(450):
        buckets.spend(f"10.1.{number // 250}.{number % 250}", 10)
    assert len(buckets) == 450
    # An address that is forgotten has lost nothing.
    assert taken(buckets, 9, 10, "10.0.0.1") == 3


@given(
    st.lists(st.tuples(st.floats(0, 3), st.sampled_from("abcdef"), st.booleans()), max_size=200),
    st.integers(1, 4),
)
def test_no_address_gets_more_than_burst_and_rate_allow(steps: list[tuple[float, str, bool]], most: int) -> None:
    buckets, now_s, got = TokenBuckets(rate=2, burst=4, addresses_max=most), 0.0, dict.fromkeys("abcdef", 0)
    for pause_s, address, deserves in steps:
        now_s += pause_s
        bucket = buckets.spend(address, now_s)
        if isinstance(bucket, RetryAfter):
            assert 0 < bucket.wait_s <= 0.5
        elif deserves:
            got[address] += 1
        else:
            buckets.refund(bucket)
        assert len(buckets) <= most
    # Those beyond the table share one more bucket.
    assert all(count <= 2 * (4 + 2 * now_s) for count in got.values())
    assert sum(got.values()) <= (most + 1) * 4 + 6 * 2 * now_s + 6 * 4


def test_a_part_may_be_given_back() -> None:
    buckets = TokenBuckets(rate=1, burst=2)
    bucket = buckets.spend(HERE, 0)
    assert isinstance(bucket, TokenBucket)
    buckets.refund(bucket, 0.5)
    assert taken(buckets, 9, 0) == 1


def test_one_that_is_in_debt_does_not_keep_others_from_being_forgotten() -> None:
    buckets = TokenBuckets(1, 10, addresses_max=50)
    debtor = buckets.spend("192.0.2.1", 0.0)
    assert isinstance(debtor, TokenBucket)
    for _ in range(20):
        buckets.charge_again(debtor)
    assert all(isinstance(buckets.spend(f"198.51.100.{number}", number / 8), TokenBucket) for number in range(150))
    assert len(buckets) < 30
