import weakref

from support.exchanges import exchange

from gateway.observe.lines import LineWriter
from gateway.observe.observation import Observation
from gateway.observe.recent_refusals import KEPT, RecentRefusals


def test_the_newest_come_first_and_the_oldest_go():
    kept = RecentRefusals()
    for number in range(KEPT + 5):
        kept.add(exchange(request_id=str(number), code="invalid_token"))
    found = [one["request_id"] for one in kept.as_json()]
    assert (len(found), found[0], found[-1]) == (KEPT, str(KEPT + 4), "5")


def test_what_a_client_made_long_is_cut():
    kept = RecentRefusals()
    kept.add(exchange(path="/" + "a" * 5000, code="no_route", reason=None))
    (one,) = kept.as_json()
    assert len(one["path"]) == 301
    assert one["reason"] is None


def test_only_refusals_are_kept():
    observation = Observation(LineWriter(None))
    observation.finished(exchange(status=200))
    observation.finished(exchange(status=401, code="invalid_token", reason="aud is [account]"))
    (one,) = observation.refusals.as_json()
    assert (one["status"], one["code"], one["reason"]) == (401, "invalid_token", "aud is [account]")


def test_a_refusal_keeps_nothing_of_its_request_alive():
    """A record leads to the token, the facts and the configuration of its time, with its pools and caches."""
    kept, record = RecentRefusals(), exchange(code="invalid_token")
    kept.add(record)
    gone = weakref.ref(record)
    del record
    assert gone() is None
    assert len(kept.as_json()) == 1
