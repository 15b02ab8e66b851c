from ipaddress import ip_network

import pytest

from gateway.http.forwarded import TrustedProxies, read_caller

TRUSTED = TrustedProxies((ip_network("10.0.0.0/8"), ip_network("::1/128")))
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
    assert not read_caller("127.0.0.1", "http", CLAIMS, TrustedProxies()).trusted
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


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        ("203.0.113.9:50007", "203.0.113.9"),
        ("203.0.113.9:50007, 10.2.2.2:80", "203.0.113.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ('"[2001:db8::1]:443"', "2001:db8::1"),
        ("[2001:DB8:0::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%eth0]:80", "fe80::1"),
        ("[::ffff:203.0.113.9]:80", "203.0.113.9"),
        ("203.0.113.9, unknown", "10.0.0.1"),
        ("203.0.113.9, _hidden", "10.0.0.1"),
        ("203.0.113.9, unknown, 10.2.2.2", "10.2.2.2"),
        ("203.0.113.9:", "10.0.0.1"),
        ("203.0.113.9:x", "10.0.0.1"),
        ("0313.0.113.9", "10.0.0.1"),
        ("[203.0.113.9]", "203.0.113.9"),
        ("example.com:80", "10.0.0.1"),
    ],
)
def test_an_address_is_read_in_each_form_that_balancers_send(chain: str, address: str) -> None:
    assert read_caller("10.0.0.1", "http", [("X-Forwarded-For", chain)], TRUSTED).address == address


def test_the_backend_is_told_the_part_of_the_chain_that_was_believed() -> None:
    chain = [("X-Forwarded-For", "6.6.6.6, 203.0.113.9:1"), ("X-Forwarded-For", "[::1]:2, 10.2.2.2")]
    assert read_caller("10.0.0.1", "http", chain, TRUSTED).forwarded_for == ("203.0.113.9", "::1", "10.2.2.2")


@pytest.mark.parametrize(
    ("value", "address", "proto", "host"),
    [
        ("for=203.0.113.9;proto=https;host=shop.example", "203.0.113.9", "https", "shop.example"),
        ('for="203.0.113.9:1";PROTO=HTTPS;host="shop.example:8443"', "203.0.113.9", "https", "shop.example:8443"),
        ('for="[2001:db8::1]:4711"', "2001:db8::1", "http", None),
        ("for=unknown;proto=https", "10.0.0.1", "https", None),
        ("for=_hidden", "10.0.0.1", "http", None),
        ("proto=https", "10.0.0.1", "https", None),
        # What the client wrote itself stands before what the proxy says of it.
        ("for=1.1.1.1;proto=https;host=evil, for=203.0.113.9", "203.0.113.9", "http", None),
        # The client's own connection was TLS; that between our proxies is not.
        ("for=203.0.113.9;proto=https;host=shop.example, for=10.2.2.2;proto=http", "203.0.113.9", "https",
         "shop.example"),
        ("for=1.1.1.1;proto=x, for=203.0.113.9;proto=https, for=10.2.2.2", "203.0.113.9", "https", None),
        ('for="203.0.113.9', "10.0.0.1", "http", None),
        ("for=203.0.113.9;proto=javascript;host=evil/path", "203.0.113.9", "http", None),
    ],
)  # fmt: skip
def test_forwarded_of_a_trusted_peer_is_believed(value: str, address: str, proto: str, host: str | None) -> None:
    caller = read_caller("10.0.0.1", "http", [("Forwarded", value)], TRUSTED)
    assert (caller.address, caller.proto, caller.host) == (address, proto, host)


def test_forwarded_is_not_looked_at_beside_x_forwarded() -> None:
    forwarded = ("Forwarded", "for=1.1.1.1;proto=https;host=evil")
    for name, value in CLAIMS[:3]:
        caller = read_caller("10.0.0.1", "http", [forwarded, (name, value)], TRUSTED)
        assert caller.address in {"203.0.113.9", "10.0.0.1"}
        assert caller.host in {"shop.example", None}
        assert (caller.proto == "https") == (name == "X-Forwarded-Proto")


def test_only_the_one_spelling_counts() -> None:
    odd = [("X_Forwarded_For", "1.1.1.1"), ("X-Request_Id", "a"), ("XForwardedHost", "evil")]
    caller = read_caller("10.0.0.1", "http", odd, TRUSTED)
    assert (caller.address, caller.host, caller.request_id) == ("10.0.0.1", None, None)


@pytest.mark.parametrize(
    ("field", "port", "prefix"),
    [
        (("X-Forwarded-Port", "8443"), "8443", ""),
        (("X-Forwarded-Port", "1, 443"), "443", ""),
        (("X-Forwarded-Port", "0"), "", ""),
        (("X-Forwarded-Port", "65536"), "", ""),
        (("X-Forwarded-Port", "443;x"), "", ""),
        (("X-Forwarded-Prefix", "/shop/v1/"), "", "/shop/v1"),
        (("X-Forwarded-Prefix", "/"), "", ""),
        (("X-Forwarded-Prefix", "shop"), "", ""),
        (("X-Forwarded-Prefix", "//evil"), "", ""),
        (("X-Forwarded-Prefix", "/a/../b"), "", ""),
        (("X-Forwarded-Prefix", "/a;b"), "", ""),
        (("X-Forwarded-Prefix", "/a, /b"), "", ""),
    ],
)
def test_port_and_prefix_are_believed_where_they_are_sound(field, port: str, prefix: str) -> None:
    caller = read_caller("10.0.0.1", "http", [field], TRUSTED)
    assert (caller.port, caller.prefix) == (port, prefix)
    stranger = read_caller("198.51.100.7", "http", [field], TRUSTED)
    assert (stranger.port, stranger.prefix) == ("", "")


def test_the_host_of_a_proxy_is_in_canonical_form() -> None:
    caller = read_caller("10.0.0.1", "http", [("X-Forwarded-Host", "[2001:0DB8::0:1]:80")], TRUSTED)
    assert caller.host == "[2001:db8::1]:80"


def test_the_peers_of_a_unix_socket_are_believed_where_that_is_said() -> None:
    trusted = TrustedProxies(unix=True)
    caller = read_caller("", "http", CLAIMS, trusted)
    assert (caller.trusted, caller.address, caller.request_id) == (True, "10.1.1.1", "abc-1")
    assert not read_caller("198.51.100.7", "http", CLAIMS, trusted).trusted
    both = TrustedProxies(TRUSTED.networks, unix=True)
    assert read_caller("", "http", CLAIMS, both).address == "203.0.113.9"
