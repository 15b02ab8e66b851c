"""Whom a limit counts, and what clients are told of it."""

import hashlib

import pytest

from gateway.limits.limit import CompiledLimit, identity_of
from gateway.limits.rate_fields import Remaining, rate_fields

SUB, CLIENT, ADDRESS, TENANT = ("sub",), ("client_id",), ("address",), ("org", "tenant")


def limit(by=SUB, quota: int = 100, window_s: float = 60.0, burst: int | None = None, name: str = "per-user"):
    return CompiledLimit(name, quota, window_s, burst or quota, by)


def who(by=SUB, claims=None, *, realm: str | None = "kc", address: str = "198.51.100.7") -> str:
    return identity_of(limit(by), realm, claims, address)


def test_two_tokens_of_one_caller_share():
    assert who(claims={"sub": "a", "jti": "1"}) == who(claims={"sub": "a", "jti": "2"}, address="203.0.113.9")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"claims": {"sub": "a"}}, {"claims": {"sub": "b"}}),
        ({"claims": {"sub": "a"}}, {"claims": {"sub": "a"}, "realm": "other"}),
        ({"claims": {"sub": "a"}}, {"claims": None}),
        ({"claims": {"sub": "1"}}, {"claims": {"sub": 1}}),
        ({"claims": {"sub": "b text c"}, "realm": "a"}, {"claims": {"sub": "c"}, "realm": "a text b"}),
        ({"claims": {"sub": "198.51.100.7"}}, {"claims": {}}),
        ({"claims": {"sub": "a" * 5000}}, {"claims": {"sub": hashlib.sha256(b"a" * 5000).hexdigest()}}),
        ({"claims": {"sub": "a" * 5000 + "x"}}, {"claims": {"sub": "a" * 5000 + "y"}}),
        ({"claims": {"sub": 10**4000}}, {"claims": {"sub": 10**4000 + 1}}),
        ({"claims": {"sub": 10**200}}, {"claims": {"sub": str(10**200)}}),
        ({"claims": {"sub": "\ud800"}}, {"claims": {"sub": "?"}}),
        ({"claims": {"sub": "address 198.51.100.7"}}, {"claims": {}}),
    ],
)
def test_others_never_share(one, other):
    assert who(**one) != who(**other)


@pytest.mark.parametrize("value", ["a" * 100_000, 10**4000, 1.5e300], ids=["text", "whole number", "fraction"])
def test_a_long_claim_costs_no_more_memory(value):
    assert len(who(claims={"sub": value})) < 200


@pytest.mark.parametrize(
    "claims", [None, {}, {"sub": None}, {"sub": ""}, {"sub": ["a"]}, {"sub": {"a": 1}}, {"sub": True}]
)
def test_without_a_value_the_address_counts(claims):
    assert who(claims=claims) == "address 198.51.100.7"


def test_a_claim_is_found_by_its_path():
    assert who(TENANT, {"org": {"tenant": "acme"}}) == who(TENANT, {"org": {"tenant": "acme"}, "sub": "x"})
    assert who(TENANT, {"org": {"tenant": "acme"}}) != who(TENANT, {"org": {"tenant": "other"}})


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("2001:db8:1:2:3::4", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("198.51.100.8", "198.51.100.8"),
    ],
)
def test_an_address_of_ipv6_counts_by_its_64(address, network):
    assert who(ADDRESS, {"sub": "a"}, address=address) == f"address {network}"


def test_the_fields_are_those_of_the_draft():
    user, client = limit(burst=20), limit(CLIENT, 5, 1.0, name="per-client")
    fields = rate_fields([Remaining(user, 20.0, 20.0, user.rate_per_s), Remaining(client, 3.2, 5.0, client.rate_per_s)])
    assert fields == (
        ("RateLimit-Policy", '"per-user";q=100;w=60, "per-client";q=5;w=1'),
        ("RateLimit", '"per-user";r=20;t=1, "per-client";r=3;t=1'),
    )


@pytest.mark.parametrize(
    ("level", "item"),
    [
        (99.0, "r=99;t=1"),
        (99.99, "r=99;t=1"),
        (0.0, "r=0;t=1"),
        (-3.0, "r=0;t=3"),
        (1.5, "r=1;t=1"),
        (100.0, "r=100;t=1"),
    ],
)
def test_t_is_the_time_until_one_request_more_and_never_0(level, item):
    one = limit()
    assert Remaining(one, level, 100.0, one.rate_per_s).item == f'"per-user";{item}'


def test_without_limits_there_are_no_fields():
    assert rate_fields([]) == ()
