"""How a backend is chosen: turns by weight, the least busy, and by the score of a value."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.upstream.balance import SmoothTurns, by_score, least_busy

VALUES = [f"user-{number}".encode() for number in range(1500)]
NAMES = [f"http://orders-{number}:8000".encode() for number in range(5)]
weights = st.lists(st.integers(1, 20), min_size=1, max_size=8)


def turns(weighted: list[int], usable: list[int], count: int) -> list[int]:
    one = SmoothTurns(weighted)
    return [one.next(usable) for _ in range(count)]


@pytest.mark.parametrize(
    ("weighted", "usable", "expected"),
    [
        ([1], [0], [0, 0, 0]),
        ([1, 1, 1], [0, 1, 2], [0, 1, 2, 0, 1, 2]),
        ([7, 7], [0, 1], [0, 1, 0, 1]),
        ([1, 1, 1], [0, 2], [0, 2, 0, 2]),
        ([5, 1, 1], [0, 1, 2], [0, 0, 1, 0, 2, 0, 0]),  # nginx's own example: no burst of five
        ([1, 2], [0, 1], [1, 0, 1, 1, 0, 1]),
        ([9, 1, 2], [1, 2], [2, 1, 2, 2, 1, 2]),
    ],
)
def test_round_robin_spreads_turns_by_weight(weighted, usable, expected):
    assert turns(weighted, usable, len(expected)) == expected


@given(weights, st.integers(1, 4))
def test_each_gets_exactly_its_share_of_whole_rounds(weighted, rounds):
    counted = Counter(turns(weighted, list(range(len(weighted))), sum(weighted) * rounds))
    if len(set(weighted)) > 1:
        assert counted == {place: weight * rounds for place, weight in enumerate(weighted)}
    else:
        assert max(counted.values()) - min(counted.values()) <= 1


@given(weights, st.data())
def test_only_those_that_are_usable_have_turns(weighted, data):
    everyone = list(range(len(weighted)))
    one = SmoothTurns(weighted)
    for _ in range(20):
        usable = data.draw(st.lists(st.sampled_from(everyone), min_size=1, unique=True).map(sorted))
        assert one.next(usable) in usable


@pytest.mark.parametrize(
    ("usable", "requests", "weighted", "first", "expected"),
    [
        ([0, 1, 2], [3, 1, 2], [1, 1, 1], 0, 1),
        ([0, 2], [3, 1, 2], [1, 1, 1], 0, 2),
        ([0, 1], [4, 3], [2, 1], 0, 0),  # four at twice the weight are fewer than three
        ([0, 1, 2], [0, 0, 0], [1, 1, 1], 4, 1),  # of equals, in turn
        ([1], [9, 9], [1, 1], 7, 1),
    ],
)
def test_the_least_busy_is_asked(usable, requests, weighted, first, expected):
    assert least_busy(usable, requests, weighted, first) == expected


def chosen(names: list[bytes], weighted: list[int], usable: list[int]) -> list[int]:
    return [by_score(value, names, weighted, usable)[0] for value in VALUES]


def test_one_value_has_one_backend_wherever_it_is_computed():
    """Of all instances and versions: these were computed once, and a change of them moves everybody's sessions."""
    assert [by_score(value, NAMES, [1] * 5, range(5)) for value in VALUES[:3]] == [
        [2, 4, 3, 0, 1],
        [3, 0, 2, 4, 1],
        [3, 0, 2, 4, 1],
    ]


def test_the_order_of_the_list_is_no_matter():
    backwards = NAMES[::-1]
    for value in VALUES[:200]:
        there = [NAMES[place] for place in by_score(value, NAMES, [1] * 5, range(5))]
        assert there == [backwards[place] for place in by_score(value, backwards, [1] * 5, range(5))]


@pytest.mark.parametrize("gone", range(5))
def test_who_leaves_moves_only_its_own(gone):
    everyone, rest = list(range(5)), [place for place in range(5) if place != gone]
    before, after = chosen(NAMES, [1] * 5, everyone), chosen(NAMES, [1] * 5, rest)
    moved = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
    assert moved
    assert {one for one, _ in moved} == {gone}
    assert {other for _, other in moved} == set(rest)  # and they are shared among all others


def test_weights_count():
    counted = Counter(chosen(NAMES[:3], [1, 2, 5], [0, 1, 2]))
    for place, weight in enumerate([1, 2, 5]):
        assert counted[place] == pytest.approx(len(VALUES) * weight / 8, rel=0.15)


def test_a_weight_that_grows_moves_nobody_between_the_others():
    before, after = chosen(NAMES[:3], [1, 1, 1], [0, 1, 2]), chosen(NAMES[:3], [1, 1, 3], [0, 1, 2])
    assert {other for one, other in zip(before, after, strict=True) if one != other} == {2}


@given(st.binary(max_size=100), weights, st.data())
def test_the_order_has_each_once_and_those_that_stay_keep_theirs(value, weighted, data):
    names = [f"http://b-{place}:1".encode() for place in range(len(weighted))]
    usable = data.draw(st.lists(st.sampled_from(range(len(weighted))), min_size=1, unique=True).map(sorted))
    order = by_score(value, names, weighted, range(len(weighted)))
    assert sorted(order) == list(range(len(weighted)))
    assert by_score(value, names, weighted, usable) == [place for place in order if place in usable]
