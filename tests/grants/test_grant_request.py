"""A grant is kept for a caller who comes again, for as long as the facts are those that it was made with."""

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts
from gateway.authn.question import Question
from gateway.grants.grant_request import GrantParameters

BEFORE = Facts({"sub": "alice"}, 0.0, exp=300.0)
ALICE, BOB = Question("p", Token("alice.1")), Question("p", Token("bob.1"))


def parameters(audience: str = "a") -> GrantParameters:
    return GrantParameters("exchange", "p", (("audience", audience),))


def test_the_same_caller_has_the_same_grant() -> None:
    asked = parameters()
    assert asked.grant(ALICE, BEFORE) is asked.grant(Question("p", Token("alice.1")), BEFORE)


def test_new_facts_make_a_new_grant_which_ends_and_is_purged_with_them() -> None:
    asked = parameters()
    asked.grant(ALICE, BEFORE)
    after = Facts({"sub": "alice"}, 10.0, exp=60.0)
    assert asked.grant(ALICE, after).facts is after
    assert asked.grant(ALICE, after) == asked.grant(ALICE, BEFORE)  # one key in the caches, all the same


def test_no_two_callers_and_no_two_targets_have_one_grant() -> None:
    one, two = parameters(), parameters("b")
    grants = [one.grant(ALICE, BEFORE), one.grant(BOB, BEFORE), two.grant(ALICE, BEFORE), one.grant(None, None)]
    assert len({grant.value for grant in grants}) == 4


def test_nobody_makes_a_token_that_reads_as_another_target() -> None:
    crafted = Question("p", Token(parameters("b").prefix + "alice.1"))
    assert parameters().grant(crafted, BEFORE) != parameters("b").grant(ALICE, BEFORE)
