import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.introspection.tag_purge import TagPurge, purge_everything, purge_from_json, purge_of, purge_to_json

ids = st.binary(min_size=16, max_size=16)
tags = st.frozensets(st.binary(max_size=40))
of_realms = st.builds(TagPurge, ids, tags, not_before=st.floats(0, 1e12), is_of_realms=st.booleans())
purges = st.builds(TagPurge, ids, st.none() | tags) | of_realms


@given(purges)
def test_a_purge_survives_the_way_through_json(purge: TagPurge) -> None:
    assert purge_from_json(json.loads(json.dumps(purge_to_json(purge)))) == purge


@pytest.mark.parametrize(
    "value",
    [{}, {"id": "00"}, {"id": 1, "marks": None}, {"id": "zz", "marks": None}, {"id": "00", "marks": [1]}]
    + [{"id": "00", "marks": ["00"], "not_before": value} for value in ("1", True, [])],
)
def test_what_is_no_purge_is_an_error(value: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"not a purge|hexadecimal|not a time"):
        purge_from_json(value)


def test_a_purge_covers_what_bears_one_of_its_marks() -> None:
    purge = purge_of([b"a", b"b"])
    assert purge.covers([b"x", b"b"])
    assert not purge.covers([b"x"])
    assert not purge.covers([])
    assert purge_everything().covers([])


def test_no_two_orders_are_the_same() -> None:
    assert purge_of([b"a"]).id != purge_of([b"a"]).id
