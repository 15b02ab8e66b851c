import re

import pytest

from gateway.authn.dpop_nonce import Nonces

NOW = 1_700_000_030.0
NONCES = Nonces([b"k" * 32])


def test_a_nonce_has_the_characters_of_one() -> None:
    """RFC 9449 §8: nonce = 1*NQCHAR."""
    assert re.fullmatch(r"[A-Za-z0-9_-]{28}", NONCES.issue(NOW))


@pytest.mark.parametrize(
    ("age_s", "is_fresh"), [(0, True), (200, True), (239, True), (360, False), (-60, True), (-180, False)]
)
def test_it_is_fresh_for_minutes(age_s, is_fresh) -> None:
    assert NONCES.is_fresh(NONCES.issue(NOW - age_s), NOW) is is_fresh


def test_instances_with_one_secret_take_those_of_each_other_also_while_it_changes() -> None:
    old, new = Nonces([b"old" * 8]), Nonces([b"new" * 8])
    both, other = Nonces([b"new" * 8, b"old" * 8]), Nonces([b"x" * 24])
    assert both.is_fresh(old.issue(NOW), NOW)
    assert both.is_fresh(new.issue(NOW), NOW)
    assert new.is_fresh(both.issue(NOW), NOW)
    assert not old.is_fresh(both.issue(NOW), NOW)
    assert not other.is_fresh(both.issue(NOW), NOW)


@pytest.mark.parametrize("nonce", ["", "x", "A" * 28, "ä" * 28, NONCES.issue(NOW) + "=", NONCES.issue(NOW)[:-1]])
def test_what_was_made_up_is_not_fresh(nonce) -> None:
    assert not NONCES.is_fresh(nonce, NOW)
