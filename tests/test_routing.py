from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.pattern import parse_path, parse_template
from gateway.config.route_model import Match
from gateway.routing import Matched, Table, WrongMethod, rewritten


def table(*patterns: str | dict) -> Table[str]:
    matches = [{"path": p} if isinstance(p, str) else p for p in patterns]
    return Table((Match.model_validate(m), label(m)) for m in matches)


def label(match: dict) -> str:
    return " ".join(
        [match.get("host", ""), match.get("path", "/**"), *match.get("methods", [])],
    ).strip()


def find(routes: Table[str], path: str, method: str = "GET", host: str = "h"):
    return routes.find(host, path[1:].split("/"), method)


def value(routes: Table[str], path: str, method: str = "GET", host: str = "h") -> str | None:
    found = find(routes, path, method, host)
    return found.value if isinstance(found, Matched) else None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a", "/a"),
        ("/a/", "/a/"),
        ("/a/b", "/a/b"),
        ("/a/x", "/a/{x}"),
        ("/a/x/", "/a/**"),
        ("/a/b/c", "/a/**"),
        ("/", "/"),
        ("/b", "/**"),
        ("/A", "/**"),
        ("/b/", "/**"),
    ],
)
def test_the_most_specific_pattern_wins_in_any_order(path: str, expected: str) -> None:
    patterns = ["/a", "/a/", "/a/b", "/a/{x}", "/a/**", "/", "/**"]
    for order in list(permutations(patterns))[::97]:
        assert value(table(*order), path) == expected


def test_a_rest_matches_the_path_itself_the_slash_and_all_below() -> None:
    routes = table("/a/**")
    assert [found.rest for found in (find(routes, p) for p in ("/a", "/a/", "/a/b/c"))] == [(), ("",), ("b", "c")]
    assert find(routes, "/ab") is None


def test_matching_goes_back_where_a_literal_leads_nowhere() -> None:
    routes = table("/a/b/c", "/a/{x}/d", "/{y}/b/e")
    assert value(routes, "/a/b/d") == "/a/{x}/d"
    assert value(routes, "/a/b/e") == "/{y}/b/e"
    assert find(routes, "/a/b/f") is None


def test_captures_carry_their_own_patterns_names() -> None:
    routes = table("/t/{tenant}/o", "/t/{other}/p/{id}")
    assert find(routes, "/t/acme/o").captures == {"tenant": "acme"}
    assert find(routes, "/t/acme/p/7").captures == {"other": "acme", "id": "7"}


def test_an_empty_segment_is_no_capture() -> None:
    assert find(table("/a/{x}"), "/a/") is None


def test_the_host_counts_most() -> None:
    routes = table(
        {"host": "api.example.com", "path": "/x"},
        {"host": "*.example.com", "path": "/**"},
        {"host": "*.eu.example.com", "path": "/**"},
        "/**",
        "/only",
    )
    assert value(routes, "/x", host="api.example.com") == "api.example.com /x"
    assert value(routes, "/y", host="api.example.com") == "*.example.com /**"
    assert value(routes, "/y", host="a.b.example.com") == "*.example.com /**"
    assert value(routes, "/y", host="a.eu.example.com") == "*.eu.example.com /**"
    assert value(routes, "/y", host="example.com") == "/**"
    assert value(routes, "/only", host="api.example.com") == "*.example.com /**"
    assert value(routes, "/only", host="other") == "/only"


def test_hosts_in_the_file_are_matched_without_case() -> None:
    assert value(table({"host": "API.Example.com.", "path": "/x"}), "/x", host="api.example.com")


def test_a_route_with_methods_beats_one_without() -> None:
    routes = table("/a", {"path": "/a", "methods": ["POST"]})
    assert value(routes, "/a", "POST") == "/a POST"
    assert value(routes, "/a", "GET") == "/a"


def test_a_wrong_method_falls_back_to_a_less_specific_route() -> None:
    routes = table({"path": "/a/b", "methods": ["POST"]}, {"path": "/a/**", "methods": ["GET"]})
    assert value(routes, "/a/b", "GET") == "/a/** GET"


def test_no_route_takes_the_method() -> None:
    routes = table({"path": "/a", "methods": ["GET"]}, {"path": "/a", "methods": ["PUT", "POST"]})
    assert find(routes, "/a", "DELETE") == WrongMethod(("GET", "HEAD", "POST", "PUT"))
    assert find(routes, "/b", "DELETE") is None


def test_get_stands_for_head_unless_head_is_named() -> None:
    assert value(table({"path": "/a", "methods": ["GET"]}), "/a", "HEAD") == "/a GET"
    for order in permutations([{"path": "/a", "methods": ["GET"]}, {"path": "/a", "methods": ["HEAD"]}]):
        assert value(table(*order), "/a", "HEAD") == "/a HEAD"
        assert value(table(*order), "/a", "GET") == "/a GET"


def test_methods_are_case_sensitive() -> None:
    assert value(table({"path": "/a", "methods": ["GET"]}), "/a", "get") is None


def test_encoded_literals_match_in_canonical_form() -> None:
    assert value(table("/%7euser/caf%c3%a9"), "/~user/caf%C3%A9")


def test_a_long_path_costs_no_recursion() -> None:
    assert value(table("/a/{x}/**"), "/a" * 5000) == "/a/{x}/**"


@pytest.mark.parametrize(
    ("template", "path"),
    [("/v2/{t}/{**}", "/v2/acme/x/y"), ("/v2/{t}", "/v2/acme"), ("/{**}", "/x/y"), ("/fixed", "/fixed")],
)
def test_a_rewrite_is_filled_from_what_matched(template: str, path: str) -> None:
    assert rewritten(parse_template(template), {"t": "acme"}, ("x", "y")) == path


def test_a_rewrite_keeps_whether_there_was_a_slash() -> None:
    assert rewritten(parse_template("/v2/{**}"), {}, ()) == "/v2"
    assert rewritten(parse_template("/v2/{**}"), {}, ("",)) == "/v2/"


SEGMENT = st.sampled_from(["a", "b", "{x}"])
PATTERN = st.builds(
    lambda segments, rest: "/" + "/".join([*(s.replace("x", f"x{i}") for i, s in enumerate(segments)), *rest]),
    st.lists(SEGMENT, min_size=1, max_size=4),
    st.sampled_from([[], ["**"], [""]]),
)


def matches(pattern: str, path: str) -> bool:
    """The rule in its simplest form, for comparison."""
    segments, parts = parse_path(pattern).segments, path[1:].split("/")
    for i, segment in enumerate(segments):
        if segment.kind.value == "rest":
            return True
        if i >= len(parts) or (parts[i] != segment.text if segment.kind.value == "literal" else not parts[i]):
            return False
    return len(parts) == len(segments)


def rank(pattern: str) -> list[int]:
    order = {"literal": 0, "capture": 1, "rest": 2}
    # The end of a pattern is more specific than ** at the same place.
    return [order[s.kind.value] for s in parse_path(pattern).segments]


@given(
    st.lists(PATTERN, min_size=1, max_size=6), st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=5)
)
def test_the_table_agrees_with_trying_every_route(patterns: list[str], parts: list[str]) -> None:
    unique = list({parse_path(p).shape: p for p in patterns}.values())
    path = "/" + "/".join(parts)
    fitting = sorted((p for p in unique if matches(p, path)), key=rank)
    assert value(table(*unique), path) == (fitting[0] if fitting else None)
