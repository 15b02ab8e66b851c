"""How long a verdict counts: never past the caller's facts, nor past the end of what was obtained."""

from __future__ import annotations

import pytest

from gateway.authn.bearer import Token
from gateway.authn.borrowed_tags import BORROWED_TAGS, borrowed_tags
from gateway.authn.facts import Facts
from gateway.authn.question import Question
from gateway.grants.grant_request import GrantParameters, GrantRequest, Kind
from gateway.grants.obtained import (
    LIFE_MAX_S,
    Denied,
    Granted,
    Verdict,
    Windows,
    as_facts,
    from_facts,
    is_due,
    until,
)

NOW = 1_700_000_000.0
WINDOWS = Windows(ttl_s=60.0, inactive_s=10.0)
NO = Denied("no")


def grant(kind: Kind, exp: float | None = None, age_s: float = 0.0, token: str = "abc") -> GrantRequest:
    facts = None if kind == "client" else Facts({}, NOW - age_s, None if exp is None else NOW + exp)
    question = None if kind == "client" else Question("p", Token(token))
    return GrantRequest(GrantParameters(kind, "p", (("audience", "a"),)), question, facts)


@pytest.mark.parametrize(
    ("kind", "verdict", "exp", "age_s", "expected_s"),
    [
        # Without expires_in: to the end of the facts, 60 s at most.
        ("exchange", Granted("t"), None, 0, 60),
        ("exchange", Granted("t"), 30, 0, 30),
        ("exchange", Granted("t"), 300, 0, 60),
        # With it: to the sooner of the two ends, and to that of the token's own `exp`.
        ("exchange", Granted("t", 300.0), None, 0, 300),
        ("exchange", Granted("t", 300.0), 120, 0, 120),
        ("exchange", Granted("t", 300.0, NOW + 90), None, 0, 90),
        ("exchange", Granted("t", 1e6), None, 0, LIFE_MAX_S),
        ("exchange", NO, None, 0, 10),
        ("exchange", NO, 3, 0, 3),
        # Within the window of the facts that it was asked with.
        ("permission", Granted(), None, 0, 60),
        ("permission", Granted(), None, 45, 15),
        ("permission", NO, None, 45, 15),
        ("permission", Granted(), 5, 0, 5),
        ("permission", Granted(), None, 90, -30),
        ("client", Granted("t", 300.0), None, 0, 300),
        ("client", Granted("t"), None, 0, 60),
    ],
)
def test_a_verdict_counts_to_the_soonest_end(
    kind: Kind, verdict: Verdict, exp: float | None, age_s: float, expected_s: float
) -> None:
    assert until(grant(kind, exp, age_s), verdict, NOW, WINDOWS) - NOW == expected_s


def test_it_is_kept_as_facts_that_show_no_token() -> None:
    tags = (b"\x01\x02", b"\x03" * 32)
    kept = as_facts(Granted("secret-token", 300.0), NOW, NOW + 1, NOW + 300, tags)
    assert "secret-token" not in repr(kept)
    assert "secret-token" not in str(kept.claims)
    assert from_facts(kept) == Granted("secret-token", exp=NOW + 300)
    assert borrowed_tags(kept.claims) == tags
    no = as_facts(Denied("why"), NOW, NOW + 1, NOW + 10, ())
    assert from_facts(no) == Denied("why")


def test_what_must_not_be_kept_still_reaches_those_who_wait() -> None:
    kept = as_facts(Granted("t"), NOW, NOW + 2, NOW - 30, ())
    assert kept.exp is not None
    assert NOW + 2 < kept.exp < NOW + 3


@pytest.mark.parametrize("tags", [None, "text", 7, {"a": 1}, ["zz"], [1], [None]])
def test_a_provider_that_sends_such_a_claim_breaks_nothing(tags: object) -> None:
    assert borrowed_tags({BORROWED_TAGS: tags}) == ()


def test_requests_that_differ_in_one_thing_have_different_keys() -> None:
    values = {
        grant("exchange").value,
        grant("permission").value,
        grant("client").value,
        grant("exchange", token="abd").value,
        GrantRequest(GrantParameters("exchange", "p", (("audience", "b"),)), Question("p", Token("abc")), None).value,
        GrantRequest(
            GrantParameters("exchange", "p", (("audience", "a"), ("scope", "s"))), Question("p", Token("abc")), None
        ).value,
        GrantRequest(GrantParameters("exchange", "p", ()), Question("p", Token('[["audience","a"]]abc')), None).value,
    }
    assert len(values) == 7
    assert "abc" not in repr(grant("exchange"))


@pytest.mark.parametrize(
    ("kind", "exp", "facts_age_s", "after_s", "expected"),
    [
        ("exchange", None, 0, 100, False),
        ("exchange", None, 0, 250, True),
        ("exchange", 300, 0, 250, False),  # a new one would end with the caller's, just as the one before
        ("exchange", 1000, 0, 250, True),
    ],
)
def test_a_yes_is_renewed_late_in_its_life_where_that_gains_anything(
    kind: Kind, exp: float | None, facts_age_s: float, after_s: float, expected: bool
) -> None:
    asking = grant(kind, exp, facts_age_s)
    kept = as_facts(Granted("t", 300.0), NOW, NOW, NOW + 300, ())
    assert is_due(kept, asking, WINDOWS, 0.8, NOW + after_s) is expected
    assert not is_due(as_facts(NO, NOW, NOW, NOW + 300, ()), asking, WINDOWS, 0.8, NOW + 299)


def test_a_decision_is_renewed_only_with_newer_facts() -> None:
    kept = as_facts(Granted(), NOW, NOW, NOW + 60, ())
    assert not is_due(kept, grant("permission"), WINDOWS, 0.8, NOW + 55)
    newer = grant("permission", age_s=-50.0)
    assert is_due(kept, newer, WINDOWS, 0.8, NOW + 55)
