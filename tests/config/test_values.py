import re
from ipaddress import ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config import values
from gateway.config.addresses import parse_backend, parse_endpoint
from gateway.config.claim_paths import Template, parse_claim_path, parse_claim_rules
from gateway.config.pattern import parse_host, parse_path, parse_template
from gateway.config.wire_values import (
    parse_header_name,
    parse_header_value,
    parse_identity_name,
    parse_method,
    parse_name,
    parse_origin,
    parse_scope,
)
from gateway.http.header_names import fold_header_name
from gateway.http.percent import canonical_percent, percent_decoded

PARSERS = [
    values.parse_duration_s,
    values.parse_size_bytes,
    values.parse_limit_bytes,
    values.parse_integer,
    values.parse_fraction,
    values.parse_part,
    values.parse_workers,
    values.parse_flag,
    values.parse_network,
    values.parse_address,
    parse_claim_path,
    parse_claim_rules,
    parse_header_name,
    parse_header_value,
    parse_identity_name,
    parse_method,
    parse_name,
    parse_origin,
    parse_scope,
    parse_host,
    parse_path,
    parse_template,
    parse_backend,
    parse_endpoint,
]


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (values.parse_duration_s, "250ms", 0.25),
        (values.parse_duration_s, "1.5h", 5400.0),
        (values.parse_duration_s, "0s", 0.0),
        (values.parse_size_bytes, "64KiB", 65536),
        (values.parse_size_bytes, 12, 12),
        (values.parse_size_bytes, "0", 0),
        (values.parse_limit_bytes, "unlimited", None),
        (values.parse_integer, "17", 17),
        (values.parse_part, 0.25, 0.25),
        (values.parse_part, 1, 1.0),
        (values.parse_part, "1.0", 1.0),
        (values.parse_part, "0.5", 0.5),
        (values.parse_workers, "auto", "auto"),
        (values.parse_flag, "Off", False),
        (values.parse_fraction, 0.8, 0.8),
        (values.parse_fraction, "0.8", 0.8),
        (values.parse_fraction, ".5", 0.5),
        (values.parse_network, "10.0.0.0/8", ip_network("10.0.0.0/8")),
        (values.parse_network, "10.1.2.3", ip_network("10.1.2.3/32")),
        (values.parse_network, "2001:db8::/32", ip_network("2001:db8::/32")),
        (values.parse_address, "[::1]:80", values.Address("::1", 80)),
        (values.parse_address, ":80", values.Address("", 80)),
        (values.parse_address, "unix:/a", values.Address(path="/a")),
        (parse_header_value, 5, "5"),
        (parse_claim_path, "a.b", ("a", "b")),
    ],
)
def test_good_values(parse, text, value):
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        *[
            (values.parse_duration_s, v)
            for v in ("5", 5, "5d", "-1s", "1e3s", "99999999h", "\u0665s", "5 s", None, True)
        ],
        *[(values.parse_size_bytes, v) for v in ("5MB", -1, True, "9999999999GiB", 2**60, "1.5MiB", None)],
        (values.parse_limit_bytes, None),
        *[
            (values.parse_fraction, v)
            for v in (0, 1, 0.0, 1.0, -0.5, 1.5, "80%", "1", "0", "0.0", "", None, True, "nan")
        ],
        *[(values.parse_integer, v) for v in ("", "-1", "1.0", 1.0, True, "\u0661", "1_000", "9" * 10)],
        *[(values.parse_part, v) for v in (0, -0.5, 1.5, "0", "0.0", "2", "50%", "", True, None, "1e-1", float("nan"))],
        *[(values.parse_network, v) for v in ("10.0.0.1/8", "x", 5, "10.0.0.0/33", "2001:db8::1/32", "")],
        *[
            (values.parse_address, v)
            for v in ("8080", "a:70000", "unix:x", "unix:/" + "a" * 120, "[x]:1", "::1:80", 80)
        ],
        *[(parse_header_value, v) for v in ("a\nb", True, None, [], "a\x00")],
        *[(parse_header_name, v) for v in ("", "a b", "a:b", "ä", "Host", "content_length", 5)],
        *[
            (parse_identity_name, v)
            for v in ("cookie", "X-Forwarded-For", "x_request.id", "Content-Type", "Via", "AUTHORIZATION")
        ],
        *[
            (parse_host, v)
            for v in ("a:80", "*.", "**.a", "a..b", "[x]", "*.[::1]", "é.example", "", 5, "[fe80::1%eth0]")
        ],
        *[
            (parse_path, v)
            for v in (
                "a",
                "",
                "/a//b",
                "/**/a",
                "/{a}/{a}",
                "/{a",
                "/a{b}",
                "/a b",
                "/%zz",
                "/../a",
                "/a/%2e%2e",
                "/..;x",
                "/%00",
                "/a?b",
            )
        ],
        *[(parse_template, v) for v in ("/**", "/{**}/a", "/a{**}", "{**}", 5)],
        *[
            (parse_backend, v)
            for v in ("a:80", "http://", "http://a/../b", "http://a//b", "http://a:0", "http://a b", 5, "https://u@a")
        ],
        *[(parse_endpoint, v) for v in ("a", "http://a#b", "ftp://a", None)],
        *[(parse_origin, v) for v in ("null", "https://A", "https://*.a", "http://a:80", "https://a/")],
        *[(parse_claim_path, v) for v in ("", ".", "a..b", ".a", "a\nb", 5, ".".join("a" * 17))],
        *[(parse_claim_rules, v) for v in ("x", {"a": []}, {"a": [None]}, {"": 1}, {"a": float("nan")})],
    ],
)
def test_bad_values_say_what_to_write(parse, value):
    with pytest.raises(ValueError, match="; "):
        parse(value)


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
@given(
    value=st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.text("/{}*.:[]%2eahtp", max_size=12)
    | st.lists(st.text(max_size=3), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)
)
def test_every_parser_gives_a_value_or_both_halves_of_a_message(parse, value):
    said = ""
    try:
        parse(value)
    except ValueError as error:
        said = str(error)
    assert not said or "; " in said
    assert "\n" not in said


def test_messages_are_short_and_show_no_inside():
    for value in ("x" * 10_000, ["hunter22"], {"hunter22": 1}, 10**200):
        said = values.quoted(value)
        assert len(said) < 100
        assert "hunter22" not in said


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1"])
def test_an_address_of_loopback_is_one(host):
    assert values.is_loopback_address(host)


@pytest.mark.parametrize("host", ["localhost", "", "0.0.0.0", "::", "192.0.2.1", "127.0.0.1.example.com", "[::1]", "1"])
def test_nothing_else_is(host):
    assert not values.is_loopback_address(host)


def test_captures_are_cut_out_of_texts():
    [rule] = parse_claim_rules({"t": ["{a}-{b}", "plain", 5]})
    assert rule.accepted == (Template(("", "a", "-", "b", "")), "plain", 5)
    assert rule.captures == {"a", "b"}


@given(st.text("XUserId-_.x!~", min_size=1))
def test_folding_makes_one_of_all_spellings(name):
    assert fold_header_name(fold_header_name(name)) == fold_header_name(name)
    assert fold_header_name(name.upper().replace("-", "").replace(".", "!!")) == fold_header_name(name)


def canonical_triplet(match: re.Match[str]) -> str:
    character = chr(int(match[0][1:], 16))
    return character if re.fullmatch("[A-Za-z0-9._~-]", character) else match[0].upper()


@given(st.text("%2eE7fF/aé", max_size=20))
@example("%41%4%%41%")
@example("".join(f"%{byte:02x}%{byte:02X}" for byte in range(256)))
def test_each_triplet_has_one_form_and_what_is_none_stays(text):
    assert canonical_percent(text) == re.sub("%[0-9A-Fa-f]{2}", canonical_triplet, text)


@given(st.text("%2eE7fF/aé", max_size=20))
def test_canonical_percent_is_idempotent_but_for_what_it_uncovers_once(text):
    once = canonical_percent(text)
    assert "%2e" not in once.lower() or "%" in text
    if "%25" not in text:
        assert canonical_percent(once).count("%") <= once.count("%")


def test_percent_decoding_of_what_is_not_utf_8_is_nothing():
    assert (percent_decoded("a%C3%A9"), percent_decoded("%ff"), percent_decoded("a")) == ("aé", None, "a")


def test_backends_are_canonical():
    assert str(parse_backend("http://a:80/b%61/")) == "http://a/ba"
    assert parse_backend("https://[::1]:8443").authority == "[::1]:8443"


@pytest.mark.parametrize(
    ("written", "place", "path", "shown"),
    [
        ("unix:/run/orders.sock", ("unix", "/run/orders.sock", 0), "", "unix:/run/orders.sock"),
        ("unix:/run/orders.sock:/v1/", ("unix", "/run/orders.sock", 0), "/v1", "unix:/run/orders.sock:/v1"),
        ("unix:/a:/", ("unix", "/a", 0), "", "unix:/a"),
    ],
)
def test_a_backend_on_a_unix_socket(written: str, place: tuple[str, str, int], path: str, shown: str) -> None:
    backend = parse_backend(written)
    assert (backend.place[:3], backend.path, str(backend), backend.authority) == (place, path, shown, "localhost")


@pytest.mark.parametrize(
    "written", ["unix:", "unix:a.sock", "unix:/a b", "unix:/a:b", "unix:/" + "a" * 107, "unix:/a:/%zz", "unix:/a:/b//c"]
)
def test_what_names_no_unix_socket_is_told_what_to_write(written: str) -> None:
    with pytest.raises(ValueError, match=r"write (unix:/run/orders\.sock|one such as /base)"):
        parse_backend(written)
