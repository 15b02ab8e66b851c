"""Since when a realm's tokens count."""

import pytest

from gateway.authn.facts import Facts, Inactive
from gateway.introspection.not_before import NotBefore

REALM = "https://sso.example.com/realms/demo"


def facts(**claims):
    return Facts({"sub": "alice", **claims}, 2000.0)


@pytest.fixture
def not_before():
    made = NotBefore()
    made.advance(REALM, 1000.0)
    return made


@pytest.mark.parametrize(
    ("claims", "counts"),
    [
        ({"iat": 999}, False),
        ({"iat": 999.9}, False),
        ({"iat": 1000}, True),  # as Keycloak has it
        ({"iat": 1001}, True),
        ({}, True),  # the provider knows its policy
        ({"iat": "1001"}, False),
        ({"iat": True}, False),
        ({"iat": [1001]}, False),
    ],
)
def test_what_was_issued_earlier_is_not_active(not_before, claims, counts):
    apply = not_before.apply(REALM, facts(**claims))
    assert apply == (facts(**claims) if counts else Inactive(2000.0))
    assert counts or "not-before" in apply.reason


def test_another_realm_is_another_matter(not_before):
    assert isinstance(not_before.apply("https://other", facts(iat=1)), Facts)


def test_a_moment_is_only_moved_forward(not_before):
    not_before.advance(REALM, 500.0)
    assert not_before.of(REALM) == 1000.0
    not_before.advance(REALM, 1500.0)
    assert not_before.of(REALM) == 1500.0


def test_no_stays_no(not_before):
    assert not_before.apply(REALM, Inactive(1.0)) == Inactive(1.0)
