import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.headers import ResponseRules
from gateway.http.response_head import (
    HEAD_LIMIT_BYTES,
    ResponseHead,
    ResponseHeaderRules,
    may_have_body,
    may_have_length,
    read_response_head,
)

OPEN = ResponseRules(frozenset(), (), own_cors=False)


def read(*lines: str, start: str = "HTTP/1.1 200 OK") -> ResponseHead:
    head = read_response_head("\r\n".join([start, *lines]).encode("latin-1"))
    assert isinstance(head, ResponseHead), head
    return head


def passed(rules: ResponseRules, *lines: str, start: str = "HTTP/1.1 200 OK") -> list[str]:
    text = ResponseHeaderRules(rules).of(read(*lines, start=start)).decode("latin-1")
    return text.split("\r\n")[:-1]


@pytest.mark.parametrize(
    "raw",
    [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6",
        "HTTP/1.1 200 OK\r\nContent-Length: 5,5",
        "HTTP/1.1 200 OK\r\nContent-Length: -1",
        "HTTP/1.1 200 OK\r\nContent-Length: +1",
        "HTTP/1.1 200 OK\r\nContent-Length: 1_0",
        "HTTP/1.1 200 OK\r\nContent-Length: \xb2",
        "HTTP/1.1 200 OK\r\nContent-Length:",
        "HTTP/1.1 200 OK\r\nContent-Length: " + "1" * 19,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 200 OK\r\nX: a\0b",
        "HTTP/1.1 200 OK\r\nX: a\rb",
        "HTTP/1.1 200 OK\r\nX: a\nb: c",
        "HTTP/1.1 200 OK\r\nContent-Length : 5",
        "HTTP/1.1 200 OK\r\n: 5",
        "HTTP/1.1 200 OK\r\nno colon",
        "HTTP/1.1 200 OK\r\n folded: first",
        "HTTP/1.1 200 O\x01K",
        "HTTP/1.1 999 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/2.0 200 OK",
        "HTTP/0.9 200 OK",
        "http/1.1 200 OK",
        "200 OK",
        "",
        "HTTP/1.1 200 OK\r\nX: " + "a" * HEAD_LIMIT_BYTES,
        "HTTP/1.1 200 OK" + "\r\nX: a" * 300,
    ],
)
def test_a_head_that_two_could_read_differently_is_none(raw) -> None:
    assert isinstance(read_response_head(raw.encode("latin-1")), str)
    assert isinstance(read_response_head(raw.encode("latin-1")), str)  # nor when it is seen again


def test_the_framing_is_found() -> None:
    assert (read().length, read().is_chunked, read().ends_connection) == (None, False, False)
    assert read("Content-Length: 5").length == 5
    assert read("content-length:\t05 ").length == 5
    assert read("Transfer-Encoding: Chunked").is_chunked
    assert read("Content-Length: 5", "Connection: keep-alive").length == 5


def test_whether_the_connection_ends() -> None:
    assert read("Connection: x, Close").ends_connection
    assert not read("Connection: keep-alive").ends_connection
    assert read(start="HTTP/1.0 200 OK").ends_connection
    assert read("Content-Length: 0", start="HTTP/1.0 200 OK").ends_connection
    assert not read("Connection: Keep-Alive", start="HTTP/1.0 200 OK").ends_connection


def test_a_status_line_needs_no_reason_and_gets_its_blank() -> None:
    assert read(start="HTTP/1.1 200").status_line == b"HTTP/1.1 200 \r\n"
    assert read(start="HTTP/1.0 404 Not here").status_line == b"HTTP/1.1 404 Not here\r\n"


def test_an_upgrade_is_one_that_the_connection_names() -> None:
    switching = "HTTP/1.1 101 Switching Protocols"
    assert read("Connection: Upgrade", "Upgrade: WebSocket", start=switching).upgrades_to == ("websocket",)
    assert read("Upgrade: websocket", start=switching).upgrades_to == ()
    assert not read(start=switching).is_interim
    assert read(start="HTTP/1.1 103 Early Hints").is_interim


def test_a_folded_line_is_unfolded() -> None:
    assert passed(OPEN, "X-A: a", "\t b", "  c", "X-B: d") == ["X-A: a b c", "X-B: d"]
    assert isinstance(read_response_head(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n 6"), str)


def test_an_answer_loses_what_belongs_to_the_hop() -> None:
    rules = ResponseRules(frozenset({"server"}), (("X-Frame-Options", "DENY"),), own_cors=True)
    lines = [
        "Connection: x-hop",
        "X-Hop: 1",
        "Server: b",
        "Trailer: x",
        "X-Request-Id: theirs",
        "Access-Control-Allow-Origin: *",
        "x_frame_options: SAMEORIGIN",
        "Set-Cookie: a=1",
        "Set-Cookie:b=2",
    ]
    for _ in range(2):
        assert passed(rules, *lines) == ["Set-Cookie: a=1", "Set-Cookie: b=2", "X-Frame-Options: DENY"]


def test_a_name_in_connection_takes_away_from_its_own_answer_alone() -> None:
    fields = ResponseHeaderRules(OPEN)
    assert fields.of(read("X-Hop: 1")) == b"X-Hop: 1\r\n"
    assert fields.of(read("Connection: x-hop", "X-Hop: 1")) == b""
    assert fields.of(read("X-Hop: 1")) == b"X-Hop: 1\r\n"


def test_a_backend_answers_for_its_own_cors_where_the_route_has_none() -> None:
    assert passed(OPEN, "Access-Control-Allow-Origin: *") == ["Access-Control-Allow-Origin: *"]


def test_what_is_remembered_is_bounded() -> None:
    fields = ResponseHeaderRules(OPEN)
    for number in range(5000):
        assert fields.of(read(f"X-Number: {number}", "X-Same: a")) == b"X-Number: %d\r\nX-Same: a\r\n" % number
    assert len(fields._kept.known) <= 256


def test_some_answers_have_no_body_whatever_they_say() -> None:
    assert may_have_body("GET", 200)
    for method, status in (("HEAD", 200), ("GET", 204), ("GET", 304), ("GET", 103)):
        assert not may_have_body(method, status)
    assert may_have_length(304)
    assert not may_have_length(204)


@given(st.binary(max_size=200))
def test_whatever_comes_is_an_answer_or_a_reason(raw) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nX: "):
        assert isinstance(read_response_head(start + raw), ResponseHead | str)
