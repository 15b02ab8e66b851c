import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.signing import key_for, signed

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, Indeterminate
from gateway.introspection.lifetime import Lifetimes, as_of, left_s, within_own_end

times = st.floats(0, 4e9)
spans = st.floats(0, 1e6)
ages = st.floats(-1e3, 1e6)


@given(exp=st.none() | times, now=times, age_s=ages, ttl_s=spans, inactive_ttl_s=spans)
def test_an_active_answer_outlives_neither_its_exp_nor_the_ttl(
    exp: float | None, now: float, age_s: float, ttl_s: float, inactive_ttl_s: float
) -> None:
    left = left_s(Facts({}, now, exp), age_s, now, Lifetimes(ttl_s, inactive_ttl_s))
    assert 0 <= left <= max(0.0, ttl_s - max(0.0, age_s))
    if exp is not None:
        assert left <= max(0.0, exp - now)


@given(now=times, age_s=ages, ttl_s=spans, inactive_ttl_s=spans)
def test_an_inactive_answer_outlives_its_own_ttl_never(
    now: float, age_s: float, ttl_s: float, inactive_ttl_s: float
) -> None:
    assert 0 <= left_s(Inactive(now), age_s, now, Lifetimes(ttl_s, inactive_ttl_s)) <= inactive_ttl_s


@given(exp=times, now=times)
def test_exp_is_exclusive(exp: float, now: float) -> None:
    facts = Facts({"sub": "alice"}, 5.0, exp)
    assert as_of(facts, now) == (facts if now < exp else Inactive(5.0))


def test_an_operator_is_told_that_exp_is_past() -> None:
    told = as_of(Facts({}, 5.0, exp=100.0), 100.5)
    assert isinstance(told, Inactive)
    assert told.reason == "its exp, 100, is past by this clock"


def test_an_answer_without_exp_or_facts_stands_as_it_is() -> None:
    for result in (Facts({}, 1.0), Inactive(1.0), Indeterminate("slow")):
        assert as_of(result, 1e9) is result


def test_a_token_that_is_not_valid_yet_is_remembered_as_any() -> None:
    assert left_s(Facts({}, 0, exp=None, nbf=5e8), 0, 100.0, Lifetimes(60, 10)) == 60


def jwt(**claims: object) -> Token:
    return Token(signed(claims, key_for("EdDSA"), "EdDSA"))


@pytest.mark.parametrize(
    ("token", "exp", "is_verified", "ends"),
    [
        (jwt(exp=100), None, False, 160),  # by the clock of the provider, which may be so far behind
        (jwt(exp=100), None, True, 100),
        (jwt(exp=100), 90, True, 90),
        (jwt(exp=100), 110, True, 100),
        (jwt(exp=100), 110, False, 110),  # its own word is not verified, and the provider has another
        (jwt(pad="a" * 5000, exp=100), None, True, 100),  # wherever it stands
        (jwt(), None, True, None),
        (jwt(exp="100"), None, True, None),
        (jwt(exp=-1), None, True, None),
        (Token("opaque"), None, False, None),
        (Token("a.b.c"), None, True, None),
    ],
)
def test_facts_end_no_later_than_the_jwt_that_they_are_about(token, exp, is_verified, ends) -> None:
    facts = Facts({"sub": "alice"}, 5.0, exp, 4.0, frozenset({"a"}), "phantom")
    found = within_own_end(facts, token, is_verified=is_verified)
    assert found == Facts({"sub": "alice"}, 5.0, ends, 4.0, frozenset({"a"}), "phantom")


def test_what_is_not_facts_has_no_end() -> None:
    for result in (Inactive(1.0), Indeterminate("slow")):
        assert within_own_end(result, jwt(exp=100), is_verified=True) is result
