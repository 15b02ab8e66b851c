import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.bearer import Token
from gateway.introspection.invalidation import (
    TOKEN_CLAIMS,
    ClaimSelector,
    Invalidation,
    SeenEvent,
    invalidation_from_json,
    invalidation_to_json,
    new_invalidation,
    selectable,
)

evictions = st.builds(
    Invalidation,
    st.binary(min_size=16, max_size=16),
    st.lists(st.builds(ClaimSelector, st.text(), st.sampled_from((*TOKEN_CLAIMS, "realm")), st.text())).map(tuple),
    st.lists(st.builds(Token, st.text())).map(tuple),
    st.booleans(),
    st.none() | st.builds(SeenEvent, st.text(), st.text(), st.floats(0, 1e6)),
    st.none() | st.binary(max_size=40),
    st.none() | st.floats(0, 1e12),
)


@given(evictions)
def test_an_eviction_survives_the_way_through_json(eviction):
    assert invalidation_from_json(json.loads(json.dumps(invalidation_to_json(eviction)))) == eviction


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"id": "00", "named": []},
        {"id": "zz", "named": [], "tokens": [], "is_no": False, "seen": None},
        {"id": "00", "named": [["r", "name", "v"]], "tokens": [], "is_no": False, "seen": None},
        {"id": "00", "named": [["r", "sub"]], "tokens": [], "is_no": False, "seen": None},
        {"id": "00", "named": [["r", "sub", 7]], "tokens": [], "is_no": False, "seen": None},
        {"id": "00", "named": [], "tokens": [7], "is_no": False, "seen": None},
        {"id": "00", "named": [], "tokens": "t", "is_no": False, "seen": None},
        {"id": "00", "named": [], "tokens": [], "is_no": 1, "seen": None},
        {"id": "00", "named": [], "tokens": [], "is_no": False, "seen": ["r", 7, 1]},
        {"id": "00", "named": [], "tokens": [], "is_no": False, "seen": None, "typed": 7},
        {"id": "00", "named": [], "tokens": [], "is_no": False, "seen": None, "typed": "zz"},
    ],
)
def test_what_is_no_eviction_is_an_error(value):
    with pytest.raises(ValueError, match=r"not an invalidation|hexadecimal"):
        invalidation_from_json(value)


def test_no_two_evictions_are_the_same():
    assert new_invalidation().id != new_invalidation().id


def test_every_claim_that_is_a_text_with_something_in_it_names_an_answer():
    claims = {"sub": "a", "sid": "", "jti": 7, "client_id": "web", "email": None, "azp": "x"}
    assert selectable(claims) == [("sub", "a"), ("client_id", "web")]


def test_a_token_is_in_no_repr():
    assert "s3cret" not in repr(new_invalidation(token=Token("s3cret")))
