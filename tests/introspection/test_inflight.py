from gateway.authn.facts import Inactive
from gateway.authn.question import FactsLookup
from gateway.introspection.inflight import FlightResult, Inflight
from gateway.introspection.tag_purge import purge_everything, purge_of

LANDED = FlightResult(FactsLookup(Inactive(0.0), "provider"), tags=(b"alice",))
CAME_S = 100.0


def test_a_flight_that_no_purge_passed_serves_everyone() -> None:
    flight = Inflight(b"key")
    flight.note_purge(purge_of([b"bob", b"other key"]), 1)
    assert flight.purged_at(LANDED.tags) is None
    assert flight.serves(LANDED, 0, None, CAME_S)
    assert flight.serves(LANDED, 9, None, CAME_S)


def test_a_purged_flight_serves_only_those_who_asked_before_the_purge() -> None:
    for purge in (purge_everything(), purge_of([b"key"]), purge_of([b"alice"])):
        flight = Inflight(b"key")
        flight.note_purge(purge, 3)
        assert flight.serves(LANDED, 2, None, CAME_S)
        assert not flight.serves(LANDED, 3, None, CAME_S)


def test_the_first_purge_counts() -> None:
    flight = Inflight(b"key")
    for number, purge in enumerate([purge_of([b"alice"]), purge_everything(), purge_of([b"alice"])], start=4):
        flight.note_purge(purge, number)
    assert flight.purged_at((b"alice",)) == 4
    assert flight.purged_at() == 5


def test_the_age_counts_unless_the_call_was_not_over_when_the_question_came() -> None:
    flight = Inflight(b"key")
    recalled = FlightResult(FactsLookup(Inactive(0.0), "redis"), age_s=5.0)
    assert flight.serves(recalled, 0, None, CAME_S)
    assert flight.serves(recalled, 0, 5.1, CAME_S)
    assert not flight.serves(recalled, 0, 5.0, CAME_S)
    for tier in ("provider", "redis"):
        outcome = FlightResult(FactsLookup(Inactive(0.0), tier), age_s=5.0, under_way_s=CAME_S)
        assert flight.serves(outcome, 0, 0.0, CAME_S)
        assert not flight.serves(outcome, 0, 0.0, CAME_S + 0.1)
