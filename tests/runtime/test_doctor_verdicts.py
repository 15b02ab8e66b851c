"""The lines of the doctor, from what was found."""

import pytest

from gateway.provider.errors import DeadlineError, FailingError, UnreachableError, UnusableResponseError
from gateway.runtime.doctor_verdicts import (
    Diagnosis,
    ahead_by_date_s,
    certificate_diagnosis,
    clock_diagnosis,
    discovery_failure,
    introspection_failure,
    meaning_of,
)

NOW_S = 1_700_000_000.0
DAY_S = 86_400.0


def test_a_line_begins_with_its_grade() -> None:
    assert Diagnosis("ok", "redis clock", "in step").render() == "ok      redis clock: in step"
    assert Diagnosis("warning", "a", "b").render() == "warning a: b"
    assert Diagnosis("FAIL", "a", "b").render() == "FAIL    a: b"


@pytest.mark.parametrize(
    ("days", "grade", "words"),
    [
        (-1, "FAIL", "ended on 2023-11-13; put a new one in its place"),
        (0, "FAIL", "ended on"),
        (1, "warning", "ends on 2023-11-15; renew it"),
        (14, "warning", "ends on 2023-11-28; renew it"),
        (14.01, "ok", "ends on 2023-11-28"),
    ],
)
def test_a_certificate_is_warned_of_14_days_before_its_end(days: float, grade: str, words: str) -> None:
    found = certificate_diagnosis("x", NOW_S + days * DAY_S, NOW_S)
    assert found.grade == grade
    assert words in found.words


@pytest.mark.parametrize(
    ("ahead_s", "grade", "words"),
    [
        (0, "ok", "in step"),
        (4.9, "ok", "in step"),
        (-4.9, "ok", "in step"),
        (5, "warning", "5 s ahead of ours; let NTP"),
        (-90, "warning", "90 s behind ours; let NTP"),
    ],
)
def test_clocks_that_are_5_seconds_apart_are_warned_of(ahead_s: float, grade: str, words: str) -> None:
    found = clock_diagnosis("x", ahead_s)
    assert found.grade == grade
    assert words in found.words


@pytest.mark.parametrize(
    ("date_s", "ahead_s"),
    [(100, 0.5), (99, -1.5), (105, 5.5), (95, -5.5)],  # read at 100.5: the date hides up to a second
)
def test_a_date_counts_by_the_end_of_its_second_that_is_further_away(date_s: float, ahead_s: float) -> None:
    assert abs(ahead_by_date_s(date_s, 100.4, 100.6)) == pytest.approx(abs(ahead_s))


@pytest.mark.parametrize(
    "error",
    [
        UnreachableError("its name cannot be resolved"),
        DeadlineError("late"),
        FailingError("status 503"),
        UnusableResponseError("status 404"),
        UnusableResponseError("of another issuer; write that"),
    ],
)
def test_every_failure_of_a_provider_says_what_to_do(error: Exception) -> None:
    url = "https://sso.example.com/.well-known/openid-configuration"
    assert "; " in discovery_failure(error, url)
    assert url in discovery_failure(error, url)
    assert "; " in introspection_failure(error, None)
    assert introspection_failure(error, "Its token endpoint says no").endswith("Its token endpoint says no")


def test_what_keycloak_masks_is_spelled_out():
    assert meaning_of("invalid_client: Client disabled") == ""
    masked = meaning_of("invalid_client: Invalid client or Invalid client credentials")
    for cause in ("a wrong secret", "an unknown client_id", "a client that is disabled"):
        assert cause in masked
