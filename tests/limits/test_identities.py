"""Bounded memory: a flood of identities resets nobody's bucket, and its own newcomers share one."""

from gateway.limits.identities import Identities
from gateway.limits.limit import CompiledLimit

NOW = 1000.0


def known(most: int = 100, quota: int = 10, window_s: float = 60.0) -> Identities:
    return Identities(CompiledLimit("l", quota, window_s, quota, ("sub",)), 1, most)


def spend(of: Identities, identity: str, now_s: float = NOW) -> bool:
    each = of.of(identity, now_s, is_shared=False)
    if each.wait_s(now_s, is_shared=False) > 0:
        return False
    each.spend(now_s, is_shared=False)
    return True


def test_a_flood_of_identities_does_not_reset_another():
    of = known()
    assert [spend(of, "victim") for _ in range(11)] == [True] * 10 + [False]
    for number in range(5000):
        spend(of, f"flood {number}")
    assert len(of) == 100
    assert not spend(of, "victim")


def test_beyond_the_bound_newcomers_share_one_bucket():
    of = known(most=10)
    for number in range(10):
        spend(of, f"known {number}")
    assert [spend(of, f"new {number}") for number in range(20)] == [True] * 10 + [False] * 10
    assert spend(of, "known 3")


def test_what_is_full_again_is_forgotten_first():
    of = known(most=10)
    for number in range(10):
        spend(of, f"known {number}")
    assert spend(of, "new", NOW + 6.1)
    assert len(of) <= 10
    assert of.of("new", NOW + 6.1, is_shared=False).identity == "new"


def test_one_that_stays_empty_does_not_make_others_share():
    """One caller spends its hour at once and goes; each of the others spends one, which is there again in 4 s."""
    of = known(most=100, quota=1000, window_s=3600.0)
    assert all(spend(of, "greedy") for _ in range(1000))
    let_through = [spend(of, f"caller {number}", NOW + 5 + number) for number in range(3000)]
    assert all(let_through)
    assert len(of) < 20


def test_a_site_with_many_networks_has_a_part_of_the_memory():
    of = known(most=80)
    let_through = sum(spend(of, f"address 2001:db8:0:{number:x}::") for number in range(5000))
    assert (len(of), let_through) == (11, 20)  # ten networks, and one bucket for the others
    assert all(spend(of, f"address 2001:db8:1:{number:x}::") for number in range(10))
    assert all(spend(of, f"address 192.0.2.{number}") for number in range(50))
    later_s = NOW + 61
    assert all(spend(of, f"address 2001:db8:0:{number + 6000:x}::", later_s) for number in range(10))
