import pytest

from gateway.authn.facts import Facts, Inactive
from gateway.introspection.revocations import Revocations
from gateway.introspection.tag_purge import purge_everything, purge_from_json, purge_of, purge_to_json


def facts(**claims) -> Facts:
    return Facts(claims, 1000.0)


@pytest.mark.parametrize(
    ("claims", "is_revoked"),
    [({"iat": 99}, True), ({"iat": 100}, True), ({"iat": 100.5}, False), ({}, True), ({"iat": "101"}, True)],
)
def test_what_has_a_tag_and_was_issued_at_or_before_it_is_revoked(claims, is_revoked) -> None:
    known = Revocations()
    known.record(purge_of([b"alice"], revoked_at=100.0))
    assert isinstance(known.apply(facts(**claims), [b"key"], [b"alice", b"realm"]), Inactive) is is_revoked
    assert isinstance(known.apply(facts(**claims), [b"key"], [b"bob", b"realm"]), Facts)


def test_the_token_itself_is_revoked_whenever_it_was_issued() -> None:
    known = Revocations()
    known.record(purge_of([b"key"], revoked_at=100.0))
    assert isinstance(known.apply(facts(iat=200), [b"key"], []), Inactive)


def test_what_only_forgets_revokes_nothing() -> None:
    known = Revocations()
    known.record(purge_of([b"alice"]))
    known.record(purge_everything())
    assert known.count == 0


def test_a_time_only_moves_forward() -> None:
    known = Revocations()
    known.record(purge_of([b"alice"], revoked_at=100.0))
    known.record(purge_of([b"alice"], revoked_at=50.0))
    assert isinstance(known.apply(facts(iat=99), [], [b"alice"]), Inactive)


def test_it_is_bounded_and_the_oldest_goes_first() -> None:
    known = Revocations(most=2)
    for tag in (b"a", b"b", b"a", b"c"):
        known.record(purge_of([tag], revoked_at=100.0))
    assert known.count == 2
    kept = [tag for tag in (b"a", b"b", b"c") if isinstance(known.apply(facts(iat=1), [], [tag]), Inactive)]
    assert kept == [b"a", b"c"]


def test_the_fleets_log_tells_when_it_was() -> None:
    purge = purge_of([b"alice"], revoked_at=100.5)
    assert purge_from_json(purge_to_json(purge)) == purge
