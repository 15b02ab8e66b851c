from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.facts import Facts, Inactive, Indeterminate
from gateway.introspection.lifetime import Lifetimes, as_of, left_s

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
