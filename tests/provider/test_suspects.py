from gateway.provider.suspects import Suspects

EVE, BOB = 1, 2


def test_each_failure_counts_until_the_provider_is_cleared_of_it():
    suspects = Suspects(cleared_s=5)
    assert [suspects.failed(EVE, 0, is_nonsense=False) for _ in range(3)] == [True] * 3
    suspects.clear_provider(0)
    assert [suspects.failed(EVE, 1, is_nonsense=False) for _ in range(3)] == [False] * 3
    assert suspects.failed(BOB, 1, is_nonsense=False)


def test_nonsense_about_one_token_counts_once():
    suspects = Suspects(cleared_s=5)
    assert [suspects.failed(EVE, 0, is_nonsense=True) for _ in range(3)] == [True, False, False]
    suspects.succeeded(BOB)
    assert suspects.failed(EVE, 0, is_nonsense=True)


def test_suspects_of_a_cleared_provider_are_blamed_for_a_while():
    suspects = Suspects(cleared_s=5)
    suspects.failed(EVE, 0, is_nonsense=False)
    assert not suspects.is_to_blame(EVE, 0)
    suspects.clear_provider(0)
    assert suspects.is_to_blame(EVE, 59)
    assert not suspects.is_to_blame(EVE, 60)
    assert suspects.failed(EVE, 60, is_nonsense=False)


def test_or_until_it_is_answered():
    suspects = Suspects(cleared_s=5)
    suspects.failed(EVE, 0, is_nonsense=False)
    suspects.clear_provider(0)
    suspects.succeeded(EVE)
    assert not suspects.is_to_blame(EVE, 6)


def test_a_failure_just_after_the_probe_is_blamed_too():
    suspects = Suspects(cleared_s=5)
    suspects.clear_provider(10)
    assert suspects.is_to_blame(BOB, 14.9)
    assert not suspects.is_to_blame(BOB, 15)


def test_what_is_remembered_is_bounded():
    suspects = Suspects(cleared_s=0)
    for who in range(5_000):
        suspects.failed(who, 0, is_nonsense=False)
    suspects.clear_provider(0)
    assert sum(suspects.is_to_blame(who, 1) for who in range(5_000)) == 1_000
