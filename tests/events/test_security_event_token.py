"""RFC 8417 as Shared Signals 1.0 §4 profiles it."""

import pytest
from support.signing import CAEP, RISC, SSF, Issuer, signed

from gateway.events.jws import EventError, read_compact
from gateway.events.security_event import SecurityEvent, SubjectSelector
from gateway.events.security_event_token import read_security_event

NOW = 1_700_000_000.0
ISSUER = Issuer("https://sso.example.com", now=NOW)
ALICE = (SubjectSelector("sub", "alice", "https://sso.example.com"),)


def read(event=CAEP + "session-revoked", typ="secevent+jwt", **claims):
    return read_security_event(read_compact(signed(ISSUER.event_claims(event, **claims), typ=typ)), NOW)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        (CAEP + "session-revoked", "session-revoked"),
        (CAEP + "token-claims-change", "token-claims-change"),
        (CAEP + "credential-change", "credential-change"),
        (RISC + "account-disabled", "account-disabled"),
    ],
)
def test_events_that_invalidate(uri, name):
    notice = read(uri)
    assert (notice.events, notice.subjects, notice.invalidates) == ((name,), ALICE, True)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        (SSF + "verification", "verification"),
        (SSF + "stream-updated", "stream-updated"),
        (CAEP + "device-compliance-change", "other"),
        ("urn:of:nobody", "other"),
    ],
)
def test_events_that_invalidate_nothing_need_no_known_subject(uri, name):
    notice = read(uri, sub_id={"format": "opaque", "id": "stream"})
    assert (notice.events, notice.subjects, notice.invalidates) == ((name,), (), False)
    assert isinstance(read(uri, sub_id=None), SecurityEvent)


def test_of_several_events_the_known_one_counts():
    notice = read(events={"urn:of:nobody": {}, CAEP + "session-revoked": {"reason_admin": {"en": "x"}}})
    assert notice.events == ("other", "session-revoked")
    assert notice.subjects == ALICE


def test_an_old_event_is_one_all_the_same():
    assert isinstance(read(iat=NOW - 30 * 86400), SecurityEvent)


@pytest.mark.parametrize("typ", ["secevent+jwt", "Secevent+JWT", "application/secevent+jwt"])
def test_the_type_in_any_letters(typ):
    assert isinstance(read(typ=typ), SecurityEvent)


@pytest.mark.parametrize("typ", [None, "JWT", "logout+jwt", "at+jwt"])
def test_explicit_typing_is_required(typ):
    assert isinstance(read(typ=typ), EventError)


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"sub": "alice"}, "invalid_request"),
        ({"exp": NOW + 100}, "invalid_request"),
        ({"sub_id": None}, "invalid_request"),
        ({"sub_id": "alice"}, "invalid_request"),
        ({"events": {CAEP + "session-revoked": 7}}, "invalid_request"),
        ({"events": {}}, "invalid_request"),
        ({"iat": NOW + 3600}, "invalid_request"),
        ({"iat": None}, "invalid_request"),
        ({"jti": None}, "invalid_request"),
        ({"iss": None}, "invalid_issuer"),
        ({"aud": None}, "invalid_audience"),
    ],
    ids=str,
)
def test_one_bad_member_is_enough(claims, code):
    wrong = read(**claims)
    assert isinstance(wrong, EventError)
    assert wrong.code == code
