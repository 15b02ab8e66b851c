from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.seen_proofs import LIFE_S, SeenProofs, Use, UseOutcome

NEW, SEEN, FULL = UseOutcome.NEW, UseOutcome.SEEN, UseOutcome.FULL


def use(number: int, jkt: str = "a", issued_at: float = 0.0, network: str = "") -> Use:
    return Use(jkt, f"{jkt} {number}", issued_at, network)


def test_a_proof_is_good_once_for_as_long_as_it_is_good_at_all() -> None:
    seen = SeenProofs()
    assert seen.claim(use(1), 0.0) is NEW
    assert seen.claim(use(1), 0.0) is SEEN
    assert seen.claim(use(1, "b"), 0.0) is NEW
    assert seen.claim(use(1), LIFE_S - 0.1) is SEEN
    assert seen.has(use(1).digest, LIFE_S - 0.1)
    assert not seen.has(use(1).digest, LIFE_S)
    assert seen.claim(use(1), LIFE_S) is NEW  # its iat refuses it elsewhere
    assert len(seen) == 1


def test_a_key_that_uses_very_many_loses_its_own_oldest_and_none_can_be_replayed() -> None:
    seen = SeenProofs(1000)
    assert seen.claim(use(0, "quiet", 0.0), 0.0) is NEW
    for number in range(500):
        assert seen.claim(use(number, "flood", float(number)), 1.0) is NEW
    assert len(seen) == 101
    assert {seen.claim(use(number, "flood", float(number)), 2.0) for number in range(500)} == {SEEN}
    assert seen.claim(use(0, "quiet", 0.0), 2.0) is SEEN
    assert seen.claim(use(500, "flood", 500.0), 2.0) is NEW
    assert seen.claim(use(501, "flood", 400.0), 2.0) is SEEN  # issued when others were that are forgotten


def test_many_keys_together_take_no_place_of_another() -> None:
    seen = SeenProofs(1000)
    assert seen.claim(use(0, "victim"), 0.0) is NEW
    verdicts = [seen.claim(use(number, f"k{key}", float(number)), 1.0) for key in range(100) for number in range(50)]
    assert set(verdicts) <= {NEW, FULL}
    assert len(seen) <= 1000
    assert seen.claim(use(0, "victim"), 2.0) is SEEN
    assert seen.claim(use(9, "late"), 2.0) is FULL
    assert seen.claim(use(9, "late"), 1.0 + LIFE_S) is NEW


def test_networks_with_very_many_keys_always_leave_room_for_another() -> None:
    """Somebody who gets tokens for as many keys as it likes, from one address and then from two."""
    seen = SeenProofs(1000)

    def taken(network: str) -> int:
        return [seen.claim(use(0, f"{network} {key}", network=network), 1.0) for key in range(2000)].count(NEW)

    assert [taken(network) for network in ("eve", "mallory")] == [500, 250]
    for number in range(100):
        assert seen.claim(use(number, f"key {number}", network="bob"), 2.0) is NEW
    assert seen.claim(use(0, "eve 0", network="eve"), 2.0) is SEEN
    assert seen.claim(use(0, "eve 0", network="carol"), 2.0) is SEEN  # whoever sends it again


def test_a_network_beyond_its_share_goes_on_with_the_keys_that_it_has_and_none_can_be_replayed() -> None:
    seen = SeenProofs(1000)
    for key in range(600):
        seen.claim(use(0, f"k{key}", network="eve"), 1.0)
    assert seen.claim(use(1, "k7", 5.0, network="eve"), 2.0) is NEW
    assert seen.claim(use(0, "k7", network="eve"), 2.0) is SEEN
    assert seen.claim(use(1, "k7", 5.0, network="eve"), 2.0) is SEEN
    assert len(seen) == 500
    for key in range(600):
        assert seen.claim(use(9, f"k{key}", 9.0, network="eve"), 1.0 + 2 * LIFE_S) in (NEW, FULL)
    assert len(seen) == 500  # what is forgotten is not held


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abcdefg"), st.integers(0, 60)), max_size=400))
def test_whatever_is_used_counts_once_and_is_bounded(uses) -> None:
    seen, taken = SeenProofs(64), set[Use]()
    for now_s, (number, jkt, issued_at) in enumerate(uses):
        one = Use(jkt, f"{jkt} {number}", float(issued_at), jkt if number % 2 else "")
        if seen.claim(one, now_s / 10) is NEW:
            assert one.digest not in taken
            taken.add(one.digest)
        assert len(seen) <= 64
