"""`match.url` of an access rule as hosts and path patterns of ours."""

import pytest

from gateway.migration.rule_places import Place, places_of

A, ANY = "a.example.com", None


@pytest.mark.parametrize(
    ("url", "places", "holes"),
    [
        ("https://a.example.com/orders", [(A, "/orders")], []),
        ("https://A.example.com:4455/orders/", [(A, "/orders/")], []),
        ("https://a.example.com/", [(A, "/")], []),
        ("https://a.example.com/<.*>", [(A, "/**")], []),
        ("https://a.example.com<.*>", [(A, "/**")], []),
        ("https://a.example.com/<.+>", [(A, "/**")], ["/"]),
        ("https://a.example.com/api/<.*>", [(A, "/api/**")], ["/api"]),
        ("https://a.example.com/api/<.+>", [(A, "/api/**")], ["/api", "/api/"]),
        ("https://a.example.com/api<(/.*)?>", [(A, "/api/**")], []),
        ("https://a.example.com/api<.*>", [(A, "/api/**")], []),
        ("https://a.example.com/api<.+>", [(A, "/api/**")], ["/api"]),
        ("https://a.example.com/api</?>", [(A, "/api/"), (A, "/api")], []),
        ("https://a.example.com/u/<[^/]+>", [(A, "/u/{p2}")], []),
        ("https://a.example.com/u/<[^/]+>/x/<.*>", [(A, "/u/{p2}/x/**")], ["/u/{p2}/x"]),
        ("https://a.example.com/u/<.*>/x", [(A, "/u/{p2}/x")], []),
        ("https://a.example.com/<a|b/c>", [(A, "/a"), (A, "/b/c")], []),
        ("https://a.example.com/<(?:a|b)>/x", [(A, "/a/x"), (A, "/b/x")], []),
        (r"https://a.example.com/<v1\.0|v2>", [(A, "/v1.0"), (A, "/v2")], []),
        ("http<s?>://<a|b>.example.com/x", [(A, "/x"), ("b.example.com", "/x")], []),
        ("<https|http>://<.*>.example.com/x", [("*.example.com", "/x")], []),
        ("<.*>://<.*>/x", [(ANY, "/x")], []),
        ("http://<[^/]+>/x", [(ANY, "/x")], []),
        ("http://<.*>", [(ANY, "/**")], []),
        ("<.*>", [(ANY, "/**")], []),
        ("http://[::1]:4455/x", [("[::1]", "/x")], []),
    ],
)
def test_what_can_be_said_here_is_carried_over(url, places, holes):
    found = places_of(url, "regexp", widen=False)
    assert (found.why, list(found.places)) == ("", [Place(*one) for one in places])
    assert [hole.path for hole in found.holes] == holes


@pytest.mark.parametrize(
    ("url", "cover", "why"),
    [
        ("https://a.example.com/users/<[0-9]+>", [(A, "/users/**")], "admits only some texts"),
        ("https://a.example.com/users/<[a-f0-9-]{36}>/x", [(A, "/users/**")], "admits only some texts"),
        ("https://a.example.com/<(?!admin).*>", [(A, "/**")], "the most specific route wins"),
        ("https://a.example.com/x/<.*>.css", [(A, "/x/**")], "no whole segment"),
        ("https://a.example.com/x<[0-9]>", [(A, "/**")], "no whole segment"),
        ("https://a.example.com/<(a|b)+>", [(A, "/**")], "no whole segment"),
        ("https://<[a-z]+>.example.com/x", [(ANY, "/x")], "neither one name nor all below one"),
        ("https://<.*>example.com/x", [(ANY, "/x")], "neither one name nor all below one"),
        ("https://api.<.*>.com/x", [(ANY, "/x")], "neither one name nor all below one"),
        ("https://a_b!.example.com/x", [(ANY, "/x")], "is not a host"),
        ("<https?://.*>", [(ANY, "/**")], "around the ://"),
        ("https://a.example.com//x", [(A, "/**")], "empty segment"),
        ("https://a.example.com/a;b/<.*>", [(A, "/**")], "path parameter"),
        ("https://a.example.com/x/<.*", [(ANY, "/**")], "do not match"),
        ("https://a.example.com/x/.*>", [(ANY, "/**")], "do not match"),
        (
            "https://a.example.com/" + "/".join(["<a|b|c>"] * 4), [(ANY, "/**")], "more than 64"
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_said_here_is_covered(url, cover, why):
    found = places_of(url, "regexp", widen=False)
    assert (found.places, list(found.cover)) == ((), [Place(*one) for one in cover])
    assert why in found.why


@pytest.mark.parametrize("url", ["", "a.example.com/x", "/x", "ftp://a/x", "https?://a/x", "https://a.example.com"])
def test_a_rule_that_no_request_matches_has_neither_places_nor_a_cover(url):
    found = places_of(url, "regexp", widen=False)
    assert (found.places, found.cover) == ((), ())
    assert found.why


@pytest.mark.parametrize(
    ("url", "places"),
    [
        ("http://a.example.com/<**>", [(A, "/**")]),
        ("http://a.example.com/x/<**>", [(A, "/x/**")]),
        ("http://a.example.com/<{a,b}>", [(A, "/a"), (A, "/b")]),
        ("http://a.example.com/<{a,b/{c,d}}>", [(A, "/a"), (A, "/b/c"), (A, "/b/d")]),
        ("http<{,s}>://a.example.com/<{a,**.css}>", [(A, "/a")]),
        ("http://a.example.com/<{a}{b,c}>", [(A, "/ab"), (A, "/ac")]),
        ("http://a.example.com/<{a,b>", []),
        ("http://<**>.example.com/x", [("*.example.com", "/x")]),
        ("http://a.example.com/<*>", []),
        ("http://a.example.com/<**.css>", []),
        ("http://a.example.com/<.*>", []),
        ("http://a.example.com/<[abc]>", []),
    ],
)
def test_globs_are_read_as_globs(url, places):
    assert list(places_of(url, "glob", widen=False).places) == [Place(*one) for one in places]


def test_a_narrow_segment_is_widened_only_when_asked():
    url = "http://<[a-z]+>.example.com/u/<[0-9]+>"
    assert places_of(url, "regexp", widen=False).places == ()
    found = places_of(url, "regexp", widen=True)
    assert found.places == (Place("*.example.com", "/u/{p2}"),)
    assert [note.partition(" takes ")[0] for note in found.notes] == ["<[a-z]+> in the host", "<[0-9]+>"]


def test_what_a_place_lacks_is_told():
    assert "behind /api without a slash" in places_of("http://a/api<.*>", "regexp", widen=False).notes[0]
    assert "one segment" in places_of("http://a/x/<.*>/y", "regexp", widen=False).notes[0]
