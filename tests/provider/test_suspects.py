from gateway.provider.suspects import Suspects

EVE, BOB = 1, 2


def test_each_failure_counts_until_the_provider_is_cleared_of_it():
    suspects = Suspects(vouched_s=5)
    assert [suspects.failed(EVE, 0, is_nonsense=False) for _ in range(3)] == [True] * 3
    suspects.acquit_provider(0)
    assert [suspects.failed(EVE, 1, is_nonsense=False) for _ in range(3)] == [False] * 3
    assert suspects.failed(BOB, 1, is_nonsense=False)


def test_nonsense_about_one_token_counts_once():
    suspects = Suspects(vouched_s=5)
    assert [suspects.failed(EVE, 0, is_nonsense=True) for _ in range(3)] == [True, False, False]
    suspects.answered(BOB)
    assert suspects.failed(EVE, 0, is_nonsense=True)


def test_who_was_suspect_with_an_innocent_provider_is_to_blame_for_a_while():
    suspects = Suspects(vouched_s=5)
    suspects.failed(EVE, 0, is_nonsense=False)
    assert not suspects.are_to_blame(EVE, 0)
    suspects.acquit_provider(0)
    assert suspects.are_to_blame(EVE, 59)
    assert not suspects.are_to_blame(EVE, 60)
    assert suspects.failed(EVE, 60, is_nonsense=False)


def test_or_until_it_is_answered():
    suspects = Suspects(vouched_s=5)
    suspects.failed(EVE, 0, is_nonsense=False)
    suspects.acquit_provider(0)
    suspects.answered(EVE)
    assert not suspects.are_to_blame(EVE, 6)


def test_whose_failure_comes_just_after_is_to_blame_as_well():
    suspects = Suspects(vouched_s=5)
    suspects.acquit_provider(10)
    assert suspects.are_to_blame(BOB, 14.9)
    assert not suspects.are_to_blame(BOB, 15)


def test_what_is_remembered_is_bounded():
    suspects = Suspects(vouched_s=0)
    for who in range(5_000):
        suspects.failed(who, 0, is_nonsense=False)
    suspects.acquit_provider(0)
    assert sum(suspects.are_to_blame(who, 1) for who in range(5_000)) == 1_000
