"""OpenID Connect Back-Channel Logout 1.0 §2.4 and §2.6, rule by rule."""

import pytest
from support.signing import LOGOUT, Issuer, signed

from gateway.events.jws import EventError, read_compact
from gateway.events.logout import AGE_MAX_S, LEEWAY_S, read_logout
from gateway.events.security_event import SecurityEvent, SubjectSelector

NOW = 1_700_000_000.0
ISSUER = Issuer("https://sso.example.com", now=NOW)


def read(typ="logout+jwt", **claims):
    return read_logout(read_compact(signed(ISSUER.logout_claims(**claims), typ=typ)), NOW)


def test_a_logout_of_a_session_and_its_subject():
    notice = read(sid="s1")
    assert isinstance(notice, SecurityEvent)
    assert (notice.issuer, notice.audience, notice.events) == ("https://sso.example.com", {"gw"}, ("logout",))
    assert notice.subjects == (SubjectSelector("sub", "alice"), SubjectSelector("sid", "s1"))
    assert notice.invalidates


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sid": "s1", "sub": None},
        {"exp": NOW + 1},
        {"exp": NOW - LEEWAY_S + 1},
        {"nbf": NOW + LEEWAY_S - 1},
        {"iat": NOW + LEEWAY_S},
        {"iat": NOW - AGE_MAX_S},
        {"events": {LOGOUT: {"more": 1}, "https://other": {}}},
        {"iat": NOW - 0.5},
    ],
)
def test_what_the_rules_allow_is_read(claims):
    assert isinstance(read(**claims), SecurityEvent)


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "logout+jwt", "LOGOUT+JWT", "application/logout+jwt"])
def test_the_type_of_a_logout_token_and_that_of_older_providers(typ):
    assert isinstance(read(typ), SecurityEvent)


@pytest.mark.parametrize("typ", ["at+jwt", "secevent+jwt", "Refresh", "", "dpop+jwt", "id_token+jwt"])
def test_another_kind_of_token_is_none(typ):
    assert isinstance(read(typ), EventError)


@pytest.mark.parametrize(
    "claims",
    [
        {"events": None},
        {"events": {}},
        {"events": {"https://other": {}}},
        {"events": {LOGOUT: None}},
        {"events": {LOGOUT: []}},
        {"events": [LOGOUT]},
        {"nonce": "n"},
        {"nonce": ""},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": ["alice"]},
        {"sid": ""},
        {"sid": 7},
        {"sid": {}, "sub": None},
        {"iat": None},
        {"iat": str(int(NOW))},
        {"iat": True},
        {"iat": NOW + LEEWAY_S + 1},
        {"iat": NOW - AGE_MAX_S - 1},
        {"exp": NOW - LEEWAY_S},
        {"exp": "later"},
        {"exp": True},
        {"exp": -1},
        {"nbf": NOW + LEEWAY_S + 1},
        {"nbf": "then"},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"iss": None},
        {"iss": ""},
        {"aud": None},
        {"aud": []},
        {"aud": 7},
    ],
    ids=str,
)
def test_one_bad_member_is_enough(claims):
    assert isinstance(read(**claims), EventError)
