import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.facts import Facts, Inactive, Indeterminate, read_introspection_result

NOW = 1_700_000_000.0


def test_an_active_token_becomes_facts() -> None:
    document = {"active": True, "scope": "a b  a", "exp": NOW + 60, "nbf": 5, "sub": "u"}
    assert read_introspection_result(document, NOW) == Facts(document, NOW, NOW + 60, 5, frozenset({"a", "b"}))


@pytest.mark.parametrize("document", [{"active": False}, {"active": False, "scope": 5, "exp": "never", "sub": "u"}])
def test_inactive_stays_inactive_whatever_stands_beside_it(document) -> None:
    assert read_introspection_result(document, NOW) == Inactive(NOW)


@pytest.mark.parametrize(
    "kind",
    [{"typ": "Refresh"}, {"typ": "Offline"}, {"typ": "ID"}, {"token_type": "refresh_token"}, {"token_use": "id"}],
)
def test_a_token_that_is_no_access_token_is_not_taken_for_one(kind) -> None:
    answer = read_introspection_result({"active": True, **kind}, NOW)
    assert answer == Inactive(NOW)
    assert isinstance(answer, Inactive)
    assert answer.reason


@pytest.mark.parametrize("kind", [{"typ": "Bearer"}, {"typ": "at+jwt"}, {"token_type": "Bearer"}, {"typ": 5}, {}])
def test_other_kinds_pass(kind) -> None:
    assert isinstance(read_introspection_result({"active": True, **kind}, NOW), Facts)


@pytest.mark.parametrize(
    "document",
    [
        None, [], "active", 1, True, {}, {"active": None}, {"active": "true"}, {"active": 1}, {"active": 0},
        {"active": []},
        *({"active": True, name: value} for name in ("exp", "nbf") for value in
          ("1", None, True, [], {}, -1, -0.5, math.nan, math.inf, 1e300, 10**400, 253402300800)),
        *({"active": True, "scope": value} for value in (None, 5, ["a"], {}, True)),
    ],
)  # fmt: skip
def test_a_malformed_answer_is_unclear(document) -> None:
    assert isinstance(read_introspection_result(document, NOW), Indeterminate)


def test_a_time_may_be_zero_or_a_fraction() -> None:
    facts = read_introspection_result({"active": True, "exp": 0, "nbf": 0.5}, NOW)
    assert isinstance(facts, Facts)
    assert (facts.exp, facts.nbf) == (0, 0.5)


@given(
    st.dictionaries(
        st.sampled_from(["active", "exp", "nbf", "scope", "typ", "sub"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.lists(st.integers(), max_size=2),
    )
)
def test_only_a_literal_true_is_a_yes(document) -> None:
    answer = read_introspection_result(document, NOW)
    assert not isinstance(answer, Facts) or document["active"] is True


def test_a_memo_is_no_part_of_what_facts_say() -> None:
    one, other = (read_introspection_result({"active": True, "sub": "u"}, NOW) for _ in range(2))
    assert isinstance(one, Facts)
    one.memo.rules, one.memo.made = object(), "secret"
    assert one == other
    assert "secret" not in repr(one)
    assert isinstance(other, Facts)
    assert other.memo.made is None


def test_equal_scopes_are_in_memory_once() -> None:
    one, other = (read_introspection_result({"active": True, "scope": "c d"}, NOW) for _ in range(2))
    assert isinstance(one, Facts)
    assert isinstance(other, Facts)
    assert one.scopes is other.scopes


def test_facts_do_not_show_claims() -> None:
    assert "alice" not in repr(read_introspection_result({"active": True, "sub": "alice"}, NOW))


@pytest.mark.parametrize("mark", ["nonce", "at_hash", "c_hash", "s_hash"])
def test_the_marks_of_an_id_token_count_where_no_token_type_does(mark) -> None:
    assert read_introspection_result({"active": True, mark: "x"}, NOW) == Inactive(NOW)
    assert isinstance(read_introspection_result({"active": True, mark: "x", "token_type": "Bearer"}, NOW), Facts)


def test_the_type_in_a_jwts_own_header_counts() -> None:
    assert read_introspection_result({"active": True, "token_type": "Bearer"}, NOW, "refresh+jwt") == Inactive(NOW)
    assert isinstance(read_introspection_result({"active": True}, NOW, "at+jwt"), Facts)
