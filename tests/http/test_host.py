import pytest

from gateway.config.pattern import parse_host
from gateway.http.host import canonical_host


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("Api.Example.COM.", "api.example.com"),
        ("127.0.0.1", "127.0.0.1"),
        ("[2001:0DB8::0:1]", "[2001:db8::1]"),
        ("[::ffff:127.0.0.1]", "127.0.0.1"),
        ("[::ffff:7f00:1]", "127.0.0.1"),
        ("1.example", "1.example"),
        ("0x7f.example", "0x7f.example"),
    ],
)
def test_each_host_has_one_form(host, canonical):
    assert canonical_host(host) == canonical_host(canonical) == canonical
    assert str(parse_host(host)) == canonical


@pytest.mark.parametrize(
    "host", ["127.1", "0177.0.0.1", "127.0.0.01", "0x7f000001", "0x7f.0.0.1", "2130706433", "256.0.0.1", "a.1", "1.0x"]
)
def test_what_only_some_take_for_an_address_is_no_host(host):
    assert canonical_host(host) is None
    with pytest.raises(ValueError, match="ends in a number and is not an IPv4 address"):
        parse_host(host)


@pytest.mark.parametrize("host", ["*.0.0.1", "*.1"])
def test_no_wildcard_stands_for_a_part_of_an_address(host):
    with pytest.raises(ValueError, match="ends in a number"):
        parse_host(host)


@pytest.mark.parametrize("host", ["[::1", "[1.2.3.4]", "[fe80::1%eth0]", "[]", "a..b", "."])
def test_what_is_none_is_none(host):
    assert canonical_host(host) is None
