import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.slots import slots

from gateway.http.refusal import Refusal
from gateway.http.target import (
    _PLAIN,
    Authority,
    Target,
    _read_path,
    path_problem,
    read_authority,
    read_host,
    read_target,
)


def read(raw: str, method: str = "GET", hosts: tuple[str, ...] = ("api.example.com",)) -> Target | Refusal:
    return read_target(method, raw, hosts)


@pytest.mark.parametrize(
    ("raw", "path", "query"),
    [
        ("/", "/", None),
        ("/a/b", "/a/b", None),
        ("/a/b/", "/a/b/", None),
        ("/a?", "/a", ""),
        ("/a?x=%2F&y=//../", "/a", "x=%2F&y=//../"),
        ("/a?b?c", "/a", "b?c"),
        ("/%7Euser/%41", "/~user/A", None),
        ("/caf%c3%a9", "/caf%C3%A9", None),
        ("/a%3bb%3D", "/a%3Bb%3D", None),
        ("/a;v=1/b", "/a;v=1/b", None),
        ("/%2541", "/%2541", None),
        ("/...", "/...", None),
        ("/.well-known/x", "/.well-known/x", None),
        ("/a..b/c.", "/a..b/c.", None),
        ("/a{b}|c", "/a{b}|c", None),
    ],
)
def test_the_path_becomes_canonical_and_the_query_stays_as_it_came(raw: str, path: str, query: str | None) -> None:
    target = read(raw)
    assert isinstance(target, Target)
    assert (target.path, target.query) == (path, query)


@pytest.mark.parametrize(
    "raw",
    [
        "/a/../b", "/..", "/a/..", "/a/./b", "/.", "/%2e%2E/a", "/%2e/a", "/.%2e", "/a/..;/b", "/a/..;x=1/b", "/..;",
        "/.;/a", "//", "//evil", "/a//b", "/a\\b", "/a%5cb", "/a%5C..", "/a%00", "/a%", "/a%2", "/a%zz", "/a%u002e",
        "/a#b", "/a?b#c", "/a?%zz", "/a b", "/a\tb", "/\x7f", "/\xe9", "/a?\x01", "/a?\xe9", "", "a", "*", "a:80",
        "/..%2Fa", "/..%3b/a", "/a/..%3Bx/b", "/a/%c0%2e%c0%2e/b", "/a%2f..", "/a%2f.%2Fb", "/%2e%2e%2f", "/a%2F..;x/b",
        "@evil/", "ftp://a/b", "http:/a", "/%c0%ae%c0%ae/a", "/a%c0%afb", "/%e0%80%ae/a",
    ],
)  # fmt: skip
def test_a_target_that_could_be_read_in_two_ways_is_refused(raw: str) -> None:
    refusal = read(raw)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) in {(400, "invalid_target"), (400, "invalid_request")}


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "PRI"])
def test_methods_that_no_backend_may_see_are_refused(method: str) -> None:
    refusal = read("/", method)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400


@pytest.mark.parametrize(
    "hosts",
    [
        (), ("a", "a"), ("a", "b"), ("",), ("a,b",), ("u@a",), ("a/b",), ("a b",), ("a:x",), ("a:99999",), ("a:1:2",),
        (".",), ("a..b",), ("[::1",), ("[::g]",), ("[1.2.3.4]",), ("a?b",), ("a#b",), ("a%41",), ("\xe9",),
        ("a" * 300,), ("127.1",), ("0177.0.0.1",), ("0x7f.1",), ("0x7F.0.0.1:80",), ("2130706433",), ("127.0.0.01",),
        ("1.2.3.4.5",), ("256.0.0.1",), ("a.1",), ("a.0x",), ("[fe80::1%1]",), ("[fe80::1%25eth0]",),
    ],
)  # fmt: skip
def test_a_host_that_is_missing_doubled_or_none_is_refused(hosts: tuple[str, ...]) -> None:
    refusal = read("/", hosts=hosts)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "invalid_request"


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("API.Example.com", "api.example.com"),
        ("api.example.com:8080", "api.example.com"),
        ("api.example.com.", "api.example.com"),
        ("api.example.com:", "api.example.com"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:80", "[::1]"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
        ("a_b", "a_b"),
        ("127.0.0.1.", "127.0.0.1"),
        ("0x7f.example", "0x7f.example"),
        ("1.a", "1.a"),
        ("[2001:db8:0::1]", "[2001:db8::1]"),
        ("[2001:0DB8:0:0:0:0:0:1]:8080", "[2001:db8::1]"),
        ("[0:0:0:0:0:ffff:7f00:1]", "127.0.0.1"),
        ("[::ffff:127.0.0.1]", "127.0.0.1"),
    ],
)
def test_hosts_are_matched_without_case_and_port(authority: str, host: str) -> None:
    assert read_host(authority) == host


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("API.Example.com:8080", "API.Example.com:8080"),
        ("api.example.com.", "api.example.com."),
        ("[2001:0DB8:0:0::1]:8080", "[2001:db8::1]:8080"),
        ("127.0.0.1.:80", "127.0.0.1:80"),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
    ],
)
def test_backends_are_told_an_address_in_its_one_form_and_a_name_as_it_came(sent: str, shown: str) -> None:
    authority = read_authority(sent)
    assert authority is not None
    assert authority.text == shown
    assert read_authority(shown) == authority


def test_http_10_may_come_without_a_host() -> None:
    target = read_target("GET", "/a", (), needs_host=False)
    assert slots(target) == slots(Target("", "", "/a", None, has_encoded_slash=False, bare_path="/a"))
    absolute = read_target("GET", "http://a/b", (), needs_host=False)
    assert isinstance(absolute, Target)
    assert (absolute.host, absolute.authority, absolute.path) == ("a", "a", "/b")
    assert isinstance(read_target("GET", "/a", ("a", "a"), needs_host=False), Refusal)
    assert isinstance(read_target("GET", "/a", ("",), needs_host=False), Refusal)


@pytest.mark.parametrize(
    ("raw", "bare"),
    [
        ("/a;v=1/b", "/a/b"),
        ("/a;v=1;w=2/b;c", "/a/b"),
        ("/a%3bv/b", "/a/b"),
        ("/a%3B;x/b", "/a/b"),
        ("/a;", "/a"),
        ("/a/;jsessionid=1", "/a/"),
        ("/;jsessionid=1", "/"),
        ("/a?b;c%3Bd", "/a"),
        ("/a%253Bb", "/a%253Bb"),
    ],
)
def test_routes_are_matched_without_path_parameters(raw: str, bare: str) -> None:
    target = read(raw)
    assert isinstance(target, Target)
    assert target.bare_path == bare
    assert target.segments == bare[1:].split("/")
    assert target.path == raw.partition("?")[0].replace("%3b", "%3B")
    assert target.has_parameters == (bare != target.path)


@pytest.mark.parametrize(
    "raw",
    [
        "/;x/",
        "/a/;x/b",
        "/%3bx/b",
        "/;/admin",
        "/..;/a",
        "/a/..;x=1/b",
        "/.;x/a",
        "/a;x%2Fb",
        "/a%2F;x",
        "/a;%2f..%2fb",
    ],
)
def test_parameters_that_leave_another_path_to_each_reader_are_refused(raw: str) -> None:
    refusal = read(raw)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "invalid_target"


def test_parameters_are_found_by_their_place() -> None:
    target = read("/a;x/b/c%3B")
    assert isinstance(target, Target)
    assert [target.has_parameters_at(index) for index in range(3)] == [True, False, True]


def test_an_absolute_target_replaces_host() -> None:
    target = read("HTTP://Other.example:81/a?b", hosts=("api.example.com",))
    assert slots(target) == slots(Target("other.example", "Other.example:81", "/a", "b", False, "/a"))
    assert slots(read("http://other.example")) == slots(Target("other.example", "other.example", "/", None, False, "/"))
    root_query = read("http://other.example?x")
    assert isinstance(root_query, Target)
    assert (root_query.path, root_query.query) == ("/", "x")


@pytest.mark.parametrize("raw", ["http://u@evil/", "http:///a", "http://a:b:c/", "http://[::1/"])
def test_an_absolute_target_needs_a_sound_authority(raw: str) -> None:
    assert isinstance(read(raw), Refusal)


def test_an_absolute_target_needs_a_host_header_too() -> None:
    assert isinstance(read("http://a/", hosts=()), Refusal)
    assert isinstance(read("http://a/", hosts=("u@evil",)), Refusal)


def test_an_encoded_slash_is_left_for_the_route_to_allow() -> None:
    target = read("/a%2fb")
    assert isinstance(target, Target)
    assert (target.path, target.has_encoded_slash) == ("/a%2Fb", True)


@given(st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=40).map(lambda text: "/" + text))
def test_normalising_is_idempotent_and_leaves_nothing_ambiguous(raw: str) -> None:
    target = read(raw)
    if isinstance(target, Target):
        assert slots(read(target.path)) == {**slots(target), "query": None, "path_and_query": target.path}
        assert path_problem(target.path) is None
        assert path_problem(target.bare_path) is None
        assert not {"..", "."} & set(target.segments)
        assert "" not in target.segments[:-1]


@pytest.mark.parametrize(
    "raw", ["/", "/a", "/a/", "/a.b/c..", "/a,v=1/@x:y", "/a?", "/a?b=%2F&c=//..", "/a?;", "/~u/-_!$&'()*+,="]
)
def test_the_usual_targets_are_known_at_a_glance(raw: str) -> None:
    assert _PLAIN.fullmatch(raw)


@given(
    st.lists(
        st.sampled_from(
            ["/", "//", ".", "..", ";", "a", "Z9", "~", "%41", "%2F", "%zz", "%", "?", "#", "\\", "|", "=", ":"]
        ),
        max_size=9,
    )
)
def test_a_glance_sees_what_a_closer_look_does(parts: list[str]) -> None:
    raw = "/" + "".join(parts)
    if _PLAIN.fullmatch(raw):
        assert slots(read(raw)) == slots(_read_path(raw, Authority("api.example.com", "api.example.com")))


@given(
    st.lists(st.sampled_from(["/", ".", "%2e", "%2E", "%2f", "%5c", ";", "a", "%", "25", "\\", "?", "#"]), max_size=8)
)
def test_no_spelling_climbs(parts: list[str]) -> None:
    target = read("/" + "".join(parts))
    if isinstance(target, Target):
        assert all(segment.split(";")[0] not in {".", ".."} for segment in target.segments)
