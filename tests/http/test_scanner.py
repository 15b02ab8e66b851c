"""Every case whole, byte by byte, and with the next request behind it."""

import pytest
from fuzz.harness import all_taken
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.scanner import Scanner
from gateway.http.unfinished import HeadLimits

SPARE = 64
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
START = b"POST /x HTTP/1.1\r\nHost: a\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"


def fed(wire: bytes, size: int) -> tuple[bytes, bool]:
    scanner, kept = Scanner(HeadLimits(SPARE, 10_000)), b""
    for start in range(0, len(wire), size):
        part, is_sound = all_taken(scanner, wire[start : start + size])
        kept += part
        if not is_sound:
            return kept, False
    return kept, True


SOUND = {
    "a GET": NEXT,
    "two": NEXT + NEXT,
    "an empty line before": b"\r\n" + NEXT,
    "two empty lines before": b"\r\n\r\n" + NEXT,
    "any method": b"VERSION-CONTROL / HTTP/1.1\r\nHost: a\r\n\r\n",
    "an upgrade that is ignored": b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n",
    "HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "odd fields": b"GET / HTTP/1.1\r\na:\r\nb:\t c \r\nd: \xff\xe9\r\n!#$%&'*+-.^_`|~: x\r\n\r\n",
    "a length": START + b"Content-Length: 5\r\n\r\nhello",
    "a length of nought": START + b"Content-Length: 0\r\n\r\n",
    "a body of line ends": START + b"Content-Length: 4\r\n\r\n\n\r\n\0",
    "chunks": CHUNKED + b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n",
    "no chunk": CHUNKED + b"0\r\n\r\n",
    "noughts": CHUNKED + b"000005\r\nhello\r\n000\r\n\r\n",
    "extensions": CHUNKED + b'5;a;b=c;d="e \t"\r\nhello\r\n0;f\r\n\r\n',
    "chunks of line ends": CHUNKED + b"3\r\n\r\n\0\r\n0\r\n\r\n",
    "all that may be extra": CHUNKED + b"1;" + b"a" * (SPARE - 1) + b"\r\nx\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("name", SOUND)
def test_sound_requests_pass_as_they_are(name: str, size: int) -> None:
    assert fed(SOUND[name], size) == (SOUND[name], True)
    assert fed(SOUND[name] + NEXT, size) == (SOUND[name] + NEXT, True)
    assert fed(SOUND[name] + b"\0", size)[1] is False


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("trailers", [b"a: b\r\n", b"a:\r\nb: c\r\n", b"Transfer-Encoding: x\r\n", b"a: b\r\n" * 9])
def test_trailers_are_taken_away(trailers: bytes, size: int) -> None:
    wire = CHUNKED + b"1\r\nx\r\n0\r\n"
    assert fed(wire + trailers + b"\r\n" + NEXT, size) == (wire + b"\r\n" + NEXT, True)
    twice = fed((wire + trailers + b"\r\n") * 2, size)
    assert twice == ((wire + b"\r\n") * 2, True)


@pytest.mark.parametrize("blank", [b"\x85", b"\xa0"])
@pytest.mark.parametrize(
    ("line", "is_last"),
    [
        (b"Connection: close%b", False),
        (b"Connection: keep-alive, close%b", False),
        (b"Content-Length: 3%b", True),  # is no length, is refused, and its connection ends
        (b"Transfer-Encoding: chunked%b", True),
    ],
)
def test_what_only_latin_1_calls_a_blank_is_a_part_of_the_value(line, is_last, blank):
    """The parser behind it takes nothing off but blanks and tabs (RFC 9110 §5.6.3), and the two must agree."""
    scanner, wire = Scanner(HeadLimits(SPARE, 10_000)), b"GET / HTTP/1.1\r\n" + line % blank + b"\r\n\r\n"
    assert scanner.take(wire) == (wire, len(wire), True)
    assert scanner.is_behind_the_last is is_last


UNSOUND = {
    "two blanks": b"GET  / HTTP/1.1\r\n\r\n",
    "a blank behind": b"GET / HTTP/1.1 \r\n\r\n",
    "a tab": b"GET\t/ HTTP/1.1\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "a long version": b"GET / HTTP/1.10\r\n\r\n",
    "no method": b"/ HTTP/1.1\r\n\r\n",
    "three empty lines before": b"\r\n\r\n\r\n" + NEXT,
    "a bare LF before": b"\n" + NEXT,
    "a bare CR before": b"\r" + NEXT,
    "a bare LF": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "a bare LF for the end": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    "a bare CR": b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
    "two CR": b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
    "NUL": b"GET / HTTP/1.1\r\nHost: a\0\r\n\r\n",
    "DEL": b"GET / HTTP/1.1\r\nHost: a\x7f\r\n\r\n",
    "a form feed": b"GET / HTTP/1.1\r\nHost: a\x0cb\r\n\r\n",
    "LF and CR": b"GET / HTTP/1.1\r\nHost: a\n\rb\r\n\r\n",
    "a bare LF and a fold": b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n c\r\n\r\n",
    "a fold": b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\n: a\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    "a sign": CHUNKED + b"+1\r\nx\r\n0\r\n\r\n",
    "a prefix": CHUNKED + b"0x1\r\nx\r\n0\r\n\r\n",
    "a blank behind a size": CHUNKED + b"1 \r\nx\r\n0\r\n\r\n",
    "no size": CHUNKED + b"\r\nx\r\n0\r\n\r\n",
    "a long size": CHUNKED + b"0" * 15 + b"1\r\nx\r\n0\r\n\r\n",
    "LF behind a size": CHUNKED + b"1\nx\r\n0\r\n\r\n",
    "CR behind a size": CHUNKED + b"1\rx\r\n0\r\n\r\n",
    "LF in an extension": CHUNKED + b"1;a\nb\r\nx\r\n0\r\n\r\n",
    "long extension": CHUNKED + b"1;" + b"a" * SPARE + b"\r\nx\r\n0\r\n\r\n",
    "extensions long together": CHUNKED + (b"1;" + b"a" * 31 + b"\r\nx\r\n") * 3 + b"0\r\n\r\n",
    "an extension without end": CHUNKED + b"1;" + b"a" * 2 * SPARE,
    "data without end": CHUNKED + b"1\r\nxy\r\n0\r\n\r\n",
    "LF behind data": CHUNKED + b"1\r\nx\n0\r\n\r\n",
    "LF for the end": CHUNKED + b"0\r\n\n",
    "CR for the end": CHUNKED + b"0\r\n\rx",
    "a folded trailer": CHUNKED + b"0\r\na: b\r\n c\r\n\r\n",
    "a trailer with LF": CHUNKED + b"0\r\na: b\nc: d\r\n\r\n",
    "long trailers": CHUNKED + b"0\r\n" + b"a: b\r\n" * SPARE + b"\r\n",
    "a trailer without end": CHUNKED + b"0\r\na: " + b"b" * 2 * SPARE,
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("name", UNSOUND)
def test_what_is_unsound_never_gets_whole_to_the_parser(name: str, size: int) -> None:
    wire = UNSOUND[name] + NEXT
    kept, is_sound = fed(wire, size)
    assert not is_sound
    assert NEXT not in kept
    kept, is_sound = fed(NEXT + wire, size)
    assert not is_sound
    assert kept.startswith(NEXT)
    assert not kept.endswith(UNSOUND[name])


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Upgrade: websocket\r\n",
        b"UPGRADE: x, WebSocket/13\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_behind_what_is_refused_or_becomes_another_protocol_nothing_is_looked_at(fields: bytes, size: int) -> None:
    wire = START + fields + b"\r\n\0\n anything"
    assert fed(wire, size) == (wire, True)


def test_the_body_of_an_upgrade_request_is_looked_at_all_the_same() -> None:
    wire = START + b"Upgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n\0anything"
    assert fed(wire, 1000) == (wire, True)
    assert fed(START + b"Upgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\n", 1000)[1] is False


PIECES = st.sampled_from(
    [
        b"GET ", b"/ ", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"Host: a\r\n", b" ",
        b"a: b\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"Upgrade: x\r\n", b"0\r\n", b"3\r\nabc\r\n",
        b";x",
        b"\0", NEXT, CHUNKED, b"5", b":",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12).map(b"".join), st.integers(1, 9))
def test_the_verdict_does_not_depend_on_how_the_bytes_come(wire: bytes, size: int) -> None:
    whole, split = fed(wire, max(1, len(wire))), fed(wire, size)
    assert whole[1] == split[1]
    if whole[1]:
        assert whole == split
