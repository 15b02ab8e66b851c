from ipaddress import ip_network

import pytest

from gateway.http.forwarded import read_caller

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("::1/128"))
CLAIMS = [
    ("X-Forwarded-For", "203.0.113.9, 10.1.1.1"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "shop.example"),
    ("X-Request-Id", "abc-1"),
]


def test_an_untrusted_peer_steers_nothing() -> None:
    caller = read_caller("198.51.100.7", "http", CLAIMS, TRUSTED)
    assert (caller.address, caller.proto, caller.host, caller.request_id) == ("198.51.100.7", "http", None, None)
    assert caller.forwarded_for == ()


def test_trust_defaults_to_nobody() -> None:
    assert not read_caller("127.0.0.1", "http", CLAIMS, ()).trusted
    assert not read_caller("", "http", CLAIMS, TRUSTED).trusted


def test_a_trusted_peer_is_believed() -> None:
    caller = read_caller("10.0.0.1", "http", CLAIMS, TRUSTED)
    assert (caller.address, caller.proto, caller.host, caller.request_id) == (
        "203.0.113.9",
        "https",
        "shop.example",
        "abc-1",
    )
    assert caller.forwarded_for == ("203.0.113.9", "10.1.1.1")


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        ("", "10.0.0.1"),
        ("evil, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, evil", "10.0.0.1"),
        ("1.1.1.1, 203.0.113.9, 10.2.2.2", "203.0.113.9"),
        ("10.3.3.3, 10.2.2.2", "10.3.3.3"),
        ("::ffff:10.2.2.2", "10.2.2.2"),
    ],
)
def test_the_caller_is_the_nearest_address_that_is_not_ours(chain: str, address: str) -> None:
    assert read_caller("10.0.0.1", "http", [("X-Forwarded-For", chain)], TRUSTED).address == address


@pytest.mark.parametrize("bad", ["a b", "x" * 129, "a\u00e9", "", "a,b;"])
def test_a_request_id_that_is_no_token_is_not_taken_over(bad: str) -> None:
    assert read_caller("10.0.0.1", "http", [("X-Request-Id", bad)], TRUSTED).request_id is None


def test_two_request_ids_are_none() -> None:
    twice = [("X-Request-Id", "a"), ("x-request-id", "b")]
    assert read_caller("10.0.0.1", "http", twice, TRUSTED).request_id is None


def test_only_sound_protos_and_hosts_are_taken_over() -> None:
    odd = [("X-Forwarded-Proto", "javascript"), ("X-Forwarded-Host", "evil/path")]
    caller = read_caller("10.0.0.1", "http", odd, TRUSTED)
    assert (caller.proto, caller.host) == ("http", None)
