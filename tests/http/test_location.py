"""Where an answer leads: what is the backend's own becomes the client's, and nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.addresses import parse_backend
from gateway.http.location import Outside, OwnUrls

CLIENT = Outside("https", "api.example.com")
STRIPPED = Outside("https", "api.example.com", "/tenants")


def outside(url, *backends, at=CLIENT):
    return OwnUrls([parse_backend(one) for one in backends or ("http://orders:8000",)]).url_outside(url, at)


@pytest.mark.parametrize(
    ("url", "backend", "wanted"),
    [
        ("http://orders:8000/x?a=1#b", "http://orders:8000", "https://api.example.com/x?a=1#b"),
        ("http://orders:8000", "http://orders:8000", "https://api.example.com"),
        ("http://orders:8000?a", "http://orders:8000", "https://api.example.com?a"),
        ("HTTP://ORDERS.:8000/x", "http://orders:8000", "https://api.example.com/x"),
        ("//orders:8000/x", "http://orders:8000", "https://api.example.com/x"),
        ("http://orders/x", "http://orders", "https://api.example.com/x"),
        ("http://orders:80/x", "http://orders", "https://api.example.com/x"),
        ("http://orders:/x", "http://orders", "https://api.example.com/x"),
        ("https://orders/x", "https://orders:443", "https://api.example.com/x"),
        ("http://[::1]:8000/x", "http://[0:0::1]:8000", "https://api.example.com/x"),
        ("http://[::ffff:10.0.0.1]:8000/x", "http://10.0.0.1:8000", "https://api.example.com/x"),
        ("http://localhost/x", "unix:/run/orders.sock", "https://api.example.com/x"),
        ("https://orders:8000/x", "http://orders:8000", "https://api.example.com/x"),  # by X-Forwarded-Proto
        ("https://orders/x", "http://orders", "https://api.example.com/x"),
        ("http://orders:8000/base/x", "http://orders:8000/base", "https://api.example.com/x"),
        ("http://orders:8000/base", "http://orders:8000/base", "https://api.example.com"),
        ("http://orders:8000/base?a", "http://orders:8000/base", "https://api.example.com?a"),
        ("http://orders:8000//evil.example/x", "http://orders:8000", "https://api.example.com//evil.example/x"),
        ("http://orders:8000/é", "http://orders:8000", "https://api.example.com/é"),
    ],
)
def test_a_url_of_the_backends_own_becomes_the_clients(url, backend, wanted):
    assert outside(url, backend) == wanted


@pytest.mark.parametrize(
    "url",
    [
        "/x",
        "x",
        "",
        "?a",
        "//elsewhere/x",
        "http://elsewhere:8000/x",
        "http://orders:8001/x",
        "http://orders/x",
        "https://orders:8001/x",
        "ftp://orders:8000/x",
        "http://orders.example:8000/x",
        "http://user@orders:8000/x",
        "http://orders:8000@evil.example/x",
        "http://orders:8000\\@evil.example/x",
        "http://orders:8000\\.evil.example/x",
        "http:/orders:8000/x",
        "http:orders:8000/x",
        "http:///orders:8000/x",
        "http://orders:800000/x",
        "http://api.example.com/x",
        "mailto:a@orders",
    ],
)
def test_everything_else_is_the_backends_word(url):
    assert outside(url) == url


def test_other_backends_of_the_list_are_own_each_with_its_path():
    both = ("http://orders-1:8000", "http://orders-2:8000/base")
    assert outside("http://orders-1:8000/base/x", *both) == "https://api.example.com/base/x"
    assert outside("http://orders-2:8000/base/x", *both) == "https://api.example.com/x"
    nested = ("http://orders:8000/a", "http://orders:8000/a/b")
    assert outside("http://orders:8000/a/b/x", *nested) == "https://api.example.com/x"
    assert outside("http://orders:8000/a/x", *nested) == "https://api.example.com/x"


@pytest.mark.parametrize("path", ["/other", "/based", "/", ""])
def test_what_lies_beside_the_backends_path_is_not_the_routes(path):
    assert outside(f"http://orders:8000{path}", "http://orders:8000/base") == f"http://orders:8000{path}"


def test_what_was_stripped_is_put_back():
    assert outside("http://orders:8000/7/", at=STRIPPED) == "https://api.example.com/tenants/7/"
    assert outside("http://orders:8000", at=STRIPPED) == "https://api.example.com/tenants"
    assert outside("http://orders:8000/tenants/7", at=STRIPPED) == "https://api.example.com/tenants/tenants/7"
    assert outside("/7/", at=STRIPPED) == "/7/"


SENT_ON = Outside("https", "api.example.com", "/tenants", host="api.example.com")


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://api.example.com/7/", "https://api.example.com/tenants/7/"),
        ("https://api.example.com/7/", "https://api.example.com/tenants/7/"),
        ("http://API.example.com:80/7/", "https://api.example.com/tenants/7/"),
        ("http://api.example.com:8000/7/", "https://api.example.com/tenants/7/"),  # nginx, Apache: their own port
        # One that goes by X-Forwarded-Prefix as well.
        ("https://api.example.com/tenants/7/", "https://api.example.com/tenants/7/"),
        ("https://api.example.com:8443/7/", "https://api.example.com:8443/7/"),
    ],
)
def test_so_is_one_that_goes_by_the_host_it_was_sent(url, wanted):
    assert outside(url, at=SENT_ON) == wanted


def test_where_the_client_named_no_host_a_path_is_left_that_names_none():
    nowhere = Outside("http", "", "/tenants")
    assert outside("http://orders:8000/x", at=nowhere) == "/tenants/x"
    assert outside("http://orders:8000?x", at=Outside("http", "")) == "/?x"
    for path in ("//evil.example/x", "/\\evil.example/x", "/\t/evil.example/x"):
        assert outside(f"http://orders:8000{path}", at=Outside("http", "")) == f"http://orders:8000{path}"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b"Location: http://orders:8000/x", b"Location: https://api.example.com/x"),
        (b"location:http://orders:8000/x\t", b"location: https://api.example.com/x"),
        (b"Content-Location: http://orders:8000/x", b"Content-Location: https://api.example.com/x"),
        (b"Refresh: 5; url=http://orders:8000/x", b"Refresh: 5; url=https://api.example.com/x"),
        (b"Refresh: 0;URL='http://orders:8000/x'", b"Refresh: 0;URL='https://api.example.com/x'"),
        (b"Refresh: 5", b"Refresh: 5"),
        (b"Location: /x", b"Location: /x"),
        (b"Location: http://orders:8000/\xff", b"Location: https://api.example.com/\xff"),
        (b"Link: <http://orders:8000/x>", b"Link: <http://orders:8000/x>"),
    ],
)
def test_a_field_is_passed_on_with_it(line, wanted):
    assert OwnUrls([parse_backend("http://orders:8000")]).led_outside(line, CLIENT) == wanted


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")), st.booleans())
def test_no_backend_names_the_host_that_the_client_is_sent_to(behind, has_host):
    """What comes out is the client's authority, or what the backend itself said."""
    at = Outside("https", "api.example.com" if has_host else "", "/tenants")
    url = f"http://orders:8000{behind}"
    got = outside(url, at=at)
    authority = "https://api.example.com" if has_host else ""
    assert got == url or got.startswith(f"{authority}/tenants")
    assert "\n" not in got
    assert "\r" not in got
