"""Bounded memory: a flood of identities resets nobody's bucket, and its own newcomers share one."""

from gateway.limits.identities import Identities
from gateway.limits.limit import CompiledLimit

NOW = 1000.0


def known(most: int = 100, quota: int = 10, window_s: float = 60.0, by: str = "sub") -> Identities:
    return Identities(CompiledLimit("l", quota, window_s, quota, (by,)), 1, most)


def caller(name: object, realm: str = "kc") -> str:
    return f"claim {len(realm)} {realm} text {name}"


def spend(of: Identities, identity: str, now_s: float = NOW) -> bool:
    each = of.of(identity, now_s, is_shared=False)
    if each.wait_s(now_s, is_shared=False) > 0:
        return False
    each.spend(now_s, is_shared=False)
    return True


def test_a_flood_of_identities_does_not_reset_another():
    of = known()
    assert [spend(of, caller("victim")) for _ in range(11)] == [True] * 10 + [False]
    for number in range(5000):
        spend(of, caller(number))
    assert len(of) == 100
    assert not spend(of, caller("victim"))


def test_beyond_the_bound_newcomers_share_one_bucket():
    of = known(most=10)
    for number in range(10):
        spend(of, caller(f"known {number}"))
    assert [spend(of, caller(f"new {number}")) for number in range(20)] == [True] * 10 + [False] * 10
    assert spend(of, caller("known 3"))


def test_what_is_full_again_is_forgotten_first():
    of = known(most=10)
    for number in range(10):
        spend(of, caller(f"known {number}"))
    assert spend(of, caller("new"), NOW + 6.1)
    assert len(of) <= 10
    assert of.of(caller("new"), NOW + 6.1, is_shared=False).identity == caller("new")


def test_one_that_stays_empty_does_not_make_others_share():
    """One caller spends its hour at once and goes; each of the others spends one, which is there again in 4 s."""
    of = known(most=100, quota=1000, window_s=3600.0)
    assert all(spend(of, caller("greedy")) for _ in range(1000))
    let_through = [spend(of, caller(number), NOW + 5 + number) for number in range(3000)]
    assert all(let_through)
    assert len(of) < 20


def test_a_site_with_many_networks_has_a_part_of_the_memory():
    of = known(most=80, by="address")
    let_through = sum(spend(of, f"address 2001:db8:0:{number:x}::") for number in range(5000))
    assert (len(of), let_through) == (11, 20)  # ten networks, and one bucket for the others
    assert all(spend(of, f"address 2001:db8:1:{number:x}::") for number in range(10))
    assert all(spend(of, f"address 192.0.2.{number}") for number in range(50))
    later_s = NOW + 61
    assert all(spend(of, f"address 2001:db8:0:{number + 6000:x}::", later_s) for number in range(10))


def test_strangers_never_push_callers_with_a_token_into_a_shared_bucket():
    of = known(most=80)
    for site in range(20):
        for number in range(20):
            spend(of, f"address 2001:db8:{site:x}:{number:x}::")
    assert len(of) == 40
    assert all(spend(of, caller(number)) for number in range(40))
    assert all(of.of(caller(number), NOW, is_shared=False).identity == caller(number) for number in range(40))


def test_a_flood_from_one_part_of_the_net_does_not_refuse_newcomers_from_another():
    of = known(most=80, by="address")
    for site in range(100):
        for number in range(20):
            spend(of, f"address 2001:db8:{site:x}:{number:x}::")
    assert len(of) == 80
    assert not spend(of, "address 2001:db8:ffff:1::")
    assert spend(of, "address 2a02:908:1:1::")
    assert spend(of, "address 192.0.2.1")
    assert spend(of, "address ")


def test_a_flood_of_one_providers_callers_does_not_refuse_newcomers_of_another():
    of = known(most=10)
    for number in range(100):
        spend(of, caller(number, "open"))
    assert not spend(of, caller("x", "open"))
    assert spend(of, caller("x", "staff"))
    assert spend(of, "address 192.0.2.1")


def test_the_buckets_of_newcomers_are_bounded_too():
    of = known(most=10, by="address")
    for number in range(10_000):
        spend(of, f"address 2001:{number:x}:1:1::")
    shared = {of.of(f"address 2001:{number:x}:1:1::", NOW, is_shared=False) for number in range(10_000)}
    assert len(shared) < 1100


def test_addresses_have_their_half_again_when_they_were_forgotten():
    of = known(most=80)
    for round_number in range(5):
        now_s = NOW + 100 * round_number
        assert all(spend(of, f"address 198.51.{round_number}.{number}", now_s) for number in range(40))
        assert len(of) <= 80
