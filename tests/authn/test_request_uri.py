import pytest

from gateway.authn.request_uri import is_same_resource, normal_form


@pytest.mark.parametrize(
    "claimed",
    [
        "https://api.example.com/a/b",
        "HTTPS://API.Example.COM/a/b",
        "https://api.example.com:443/a/b",
        "https://api.example.com:/a/b",
        "https://api.example.com/a/b?x=1",
        "https://api.example.com/a/b#f",
        "https://api.example.com/a/b?x=/#?",
        "https://api.example.com/%61/b",
        "https://api.example.com/a/./c/../b",
        "https://api.example.com./a/b",
    ],
)
def test_spellings_of_one_resource_are_equal(claimed) -> None:
    assert is_same_resource(claimed, "https://api.example.com/a/b")


@pytest.mark.parametrize(
    "claimed",
    [
        "http://api.example.com/a/b",
        "https://api.example.com/a/b/",
        "https://api.example.com/a/B",
        "https://api.example.com/a",
        "https://api.example.com:8443/a/b",
        "https://api.example.com:80/a/b",
        "https://evil.example/a/b",
        "https://api.example.com@evil.example/a/b",
        "https://user@api.example.com/a/b",
        "https://api.example.com.evil.example/a/b",
        "https://api.example.com/a%2Fb",
        "https://api.example.com/a/b%",
        "https://api.example.com//a/b",
        "https://api.example.com\\a/b",
        " https://api.example.com/a/b",
        "https://api.example.com/a/b\n",
        "https://api.exämple.com/a/b",
        "wss://api.example.com/a/b",
        "/a/b",
        "api.example.com/a/b",
        "https:///a/b",
        "",
    ],
)
def test_every_other_is_not(claimed) -> None:
    assert not is_same_resource(claimed, "https://api.example.com/a/b")


@pytest.mark.parametrize(
    ("uri", "form"),
    [
        ("http://a", "http://a/"),
        ("http://a:80?x", "http://a/"),
        ("http://[::1]:8080/%7euser/%2f", "http://[::1]:8080/~user/%2F"),
        ("http://[0:0::1]/", "http://[::1]/"),
        ("http://a/b/..", "http://a/"),
        ("http://a/b/c/..", "http://a/b/"),
        ("http://a/../../b", "http://a/b"),
        ("http://a/.b/..c", "http://a/.b/..c"),
    ],
)
def test_the_normal_form_is_idempotent(uri, form) -> None:
    assert normal_form(uri) == form
    assert normal_form(form) == form


@pytest.mark.parametrize("uri", ["http://a/%", "http://a/%4", "http://a/%zz", "http://a/b%/c"])
def test_a_triplet_that_is_none_has_no_normal_form(uri) -> None:
    assert normal_form(uri) is None


def test_a_url_that_is_longer_than_any_spelling_of_the_requested_one_costs_nothing(monkeypatch) -> None:
    """Anybody can send a proof, and nobody is charged for one that does not fit."""
    path = "A" * 2000
    assert is_same_resource("https://a:443/" + "%41" * 2000 + "?" + "x" * 9000, f"https://a/{path}")
    monkeypatch.setattr("gateway.authn.request_uri.normal_form", lambda uri: pytest.fail(f"{len(uri)} were read"))
    for longer in ("%41" * 2000, "./" * 4000, "a/../" * 2000):
        assert not is_same_resource(f"https://a/{longer}", "https://a/x")
