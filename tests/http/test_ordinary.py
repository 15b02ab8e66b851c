"""What is taken is taken as every other parser would; what could be read in two ways is left to the longer way."""

import asyncio
from collections.abc import Iterator
from time import process_time

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParser
from fuzz.harness import all_taken
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.generated import Generator

from gateway.http import ordinary
from gateway.http.fates import FieldFates
from gateway.http.ordinary import BODY_MAX_BYTES, USUAL, Manner, Ordinary
from gateway.http.request_fields import fields_of, read_fields
from gateway.http.scanner import Scanner
from gateway.http.unfinished import HeadLimits

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
HOST = ("Host", "a")
CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"


FATES = FieldFates(frozenset({"xuserid"}))
LIMITS = HeadLimits(2**15, 100)


def read_ordinary(data: bytes) -> Ordinary | None:
    """What is ordinary and whole."""
    taken = ordinary.read_ordinary(FATES, LIMITS, data)
    return None if taken is None or taken.missing_bytes else taken


def get(*lines: bytes) -> bytes:
    return GET + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(body: bytes, *lines: bytes) -> bytes:
    return POST + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


ORDINARY = {
    "a GET": (get(), ("GET", "/x", [HOST], None)),
    "a HEAD": (b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", ("HEAD", "/x", [HOST], None)),
    "a DELETE with a query": (b"DELETE /?a=%20 HTTP/1.1\r\nHost: a\r\n\r\n", ("DELETE", "/?a=%20", [HOST], None)),
    "a preflight": (
        b"OPTIONS" + get(b"Access-Control-Request-Method: GET", b"Access-Control-Request-Headers: x")[3:],
        (
            "OPTIONS",
            "/x",
            [HOST, ("Access-Control-Request-Method", "GET"), ("Access-Control-Request-Headers", "x")],
            None,
        ),
    ),
    "a body": (post(b"hello", b"Content-Length: 5"), ("POST", "/x", [HOST, ("Content-Length", "5")], b"hello")),
    "an empty body": (post(b"", b"content-length: 0"), ("POST", "/x", [HOST, ("content-length", "0")], b"")),
    "a body on GET": (get(b"Content-Length: 1") + b"\0", ("GET", "/x", [HOST, ("Content-Length", "1")], b"\0")),
    "a body on GET that ends as a head does": (
        get(b"Content-Length: %d" % len(NEXT)) + NEXT,
        ("GET", "/x", [HOST, ("Content-Length", str(len(NEXT)))], NEXT),
    ),
    "the longest body": (
        post(b"b" * BODY_MAX_BYTES, b"Content-Length: %d" % BODY_MAX_BYTES),
        ("POST", "/x", [HOST, ("Content-Length", str(BODY_MAX_BYTES))], b"b" * BODY_MAX_BYTES),
    ),
    "a body that looks like a head": (
        post(NEXT, b"Content-Length: %d" % len(NEXT)),
        ("POST", "/x", [HOST, ("Content-Length", str(len(NEXT)))], NEXT),
    ),
    "a token": (
        get(b"Authorization: Bearer a.b-c=="),
        ("GET", "/x", [HOST, ("Authorization", "Bearer a.b-c==")], None),
    ),
    # Whether that is a token, too.
    "no token": (get(b"Authorization: Bearer a b"), ("GET", "/x", [HOST, ("Authorization", "Bearer a b")], None)),
    "another scheme": (get(b"Authorization: Basic x"), ("GET", "/x", [HOST, ("Authorization", "Basic x")], None)),
    "blanks around a value": (get(b"X-A: \t b c\t "), ("GET", "/x", [HOST, ("X-A", "b c")], None)),
    "no value": (get(b"X-A:", b"X-B: "), ("GET", "/x", [HOST, ("X-A", ""), ("X-B", "")], None)),
    "bytes": (get(b"X-A: \xe9\xff\xc3\xa9"), ("GET", "/x", [HOST, ("X-A", "\udce9\udcff\xe9")], None)),
    "a name of signs": (get(b"!#$%&'*+-.^_`|~0aZ: b"), ("GET", "/x", [HOST, ("!#$%&'*+-.^_`|~0aZ", "b")], None)),
    "keep-alive": (get(b"Connection: Keep-Alive"), ("GET", "/x", [HOST, ("Connection", "Keep-Alive")], None)),
    "the same twice": (get(b"Cookie: a", b"Cookie: a"), ("GET", "/x", [HOST, ("Cookie", "a"), ("Cookie", "a")], None)),
    "what only looks like framing": (
        get(b"Content_Length: 9", b"Transfer_Encoding: chunked"),
        ("GET", "/x", [HOST, ("Content_Length", "9"), ("Transfer_Encoding", "chunked")], None),
    ),
    "an origin": (get(b"Origin: https://a.example"), ("GET", "/x", [HOST, ("Origin", "https://a.example")], None)),
    "a forged identity": (get(b"X-User-Id: root"), ("GET", "/x", [HOST, ("X-User-Id", "root")], None)),
    # Whether the path is a good one is for the pipeline to say, which both lanes ask.
    "a path with dots": (b"GET /../%2e/x HTTP/1.1\r\nHost: a\r\n\r\n", ("GET", "/../%2e/x", [HOST], None)),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_a_plain_request_is_taken_as_it_came(name: str) -> None:
    wire, expected = ORDINARY[name]
    for _ in range(2):  # and again from memory
        taken = read_ordinary(wire)
        assert taken is not None
        assert (taken.method, taken.target, taken.fields.pairs, taken.body) == expected
        assert taken.manner is USUAL


NOT_ORDINARY = {
    "nothing": b"",
    "a part of a head": GET,
    "all but the last byte": get()[:-1],
    "a line end before": b"\r\n" + get(),
    "a body that is too short": post(b"hell", b"Content-Length: 5"),
    "a body beyond the bound": post(b"b" * (BODY_MAX_BYTES + 1), b"Content-Length: %d" % (BODY_MAX_BYTES + 1)),
    **{
        f"the method {method!r}": method + get()[3:]
        for method in (b"CONNECT", b"TRACE", b"PRI", b"get", b"PROPFIND", b"", b" GET", b"GE T", b"G\xcbT")
    },
    **{
        f"the target {target!r}": get().replace(b" /x ", b" " + target + b" ", 1)
        for target in (b"*", b"x", b"http://", b"http:///x", b"http://a", b"http://a:80", b"http://u@a/x",
            b"http://[::1]/x", b"https://a/x", b"HTTP://a/x", b"http://a:99999/x", b"http://a_b/x", b"http:/a/x",
            b"http://a/\xe9", b"a:80",
            b"//a\x7f", b"/\xe9", b"/a b", b"/a\tb", b"/a\0", b"")
    },
    **{
        f"the version {version!r}": get().replace(b"HTTP/1.1", version, 1)
        for version in (b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1 ", b"HTTP/1.10")
    },
    "the asterisk of OPTIONS": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "two blanks": get().replace(b" /x", b"  /x", 1),
    "a tab for a blank": get().replace(b" /x", b"\t/x", 1),
    "lines that end in LF": get().replace(b"\r\n", b"\n"),
    "a head that ends in LF": GET + b"\n",
    "no host": b"GET /x HTTP/1.1\r\n\r\n",
    "no host but a field": b"GET /x HTTP/1.1\r\nX-A: b\r\n\r\n",
    **{
        f"the line {line!r}": get(line)
        for line in (
            b"X-A : b", b"X-A\t: b", b" X-A: b", b"\tX-A: b", b": b", b"X-A", b"X A: b", b"X\xe9: b", b"X\0: b",
            b"(x): b", b"X-A: b\0", b"X-A: b\x0b", b"X-A: b\x7f", b"X-A: b\rc", b"X-A: b\nX-B: c", b"X-A: b\r\n folded",
            b"X-A: b\r",
        )
    },
    **{
        f"a length of {value!r}": post(b"hello", b"Content-Length: " + value)
        for value in (
            b"+5", b"-5", b"5,5", b"5, 5", b"0x5", b"5_", b"5 5", b"", b"\xd9\xa5", b"5.0", b"5;", b"1" * 19, b"\x0b5"
        )
    },
    "two equal lengths": post(b"hello", b"Content-Length: 5", b"Content-Length: 5"),
    "two lengths": post(b"hello", b"Content-Length: 5", b"content-length: 6"),
    "a blank before the colon of a length": post(b"hello", b"Content-Length : 5"),
    "two hosts": get(b"Host: b"),
    "two equal hosts": get(b"host: a"),
    "two of what comes once": get(b"User-Agent: a", b"user-agent: a"),
    **{
        f"the field {line!r}": get(line)
        for line in (
            b"Transfer-Encoding: chunked", b"transfer-encoding: identity", b"Expect: 100-continue", b"Expect:",
            b"Upgrade: websocket", b"upgrade: h2c", b"HTTP2-Settings: x", b"Trailer: X-T", b"Keep-Alive: timeout=5",
            b"Proxy-Connection: keep-alive", b"Connection: upgrade", b"Connection: close, X-User-Id",
            b"Connection: X-User-Id", b"Connection: keep-alive, X-User-Id", b"Connection:", b"connection: ,keep-alive",
            b"Sec-WebSocket-Key1: x",
        )
    },
    "a connection that both ends and stays": get(b"Connection: close", b"Connection: keep-alive"),
    "an end for an old client that stays": get(b"Connection: keep-alive", b"connection: close").replace(b"1.1", b"1.0"),
    "a length with an encoding": post(CHUNKS, b"Content-Length: 5", CHUNKED),
    "chunks of an old client": post(CHUNKS, CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "two encodings": post(CHUNKS, CHUNKED, CHUNKED),
    **{
        f"the encoding {value!r}": post(CHUNKS, b"Transfer-Encoding: " + value)
        for value in (b"gzip", b"chunked, chunked", b"gzip, chunked", b"chunked;q=1", b"\x0bchunked", b"chunke", b"")
    },
    **{
        f"the chunks {chunks!r}": post(chunks, CHUNKED)
        for chunks in (
            b"", b"0\r\n\r\n", b"5\r\nhello\r\n", b"5\r\nhello\r\n0\r\n", b"5\r\nhello0\r\n\r\n",
            b"5;a=b\r\nhello\r\n0\r\n\r\n",
            b"5 \r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nX-A: b\r\n\r\n",
            b"5\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n00\r\n\r\n",
            b"6\r\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\n\n",
            b"5\r\nhello\r\n0\r\n\r", b"-5\r\nhello\r\n0\r\n\r\n", b"g\r\n", b"5\r\nhello\r\n0;a\r\n\r\n",
        )
    },
    "chunks beyond the bound": post(
        b"%x\r\n%b\r\n0\r\n\r\n" % (BODY_MAX_BYTES, b"b" * BODY_MAX_BYTES), CHUNKED
    ),
    "a body beyond the bound with something behind": post(
        b"b" * (BODY_MAX_BYTES + 9), b"Content-Length: %d" % (BODY_MAX_BYTES + 1)
    ),
}  # fmt: skip


def manner(*, is_http10: bool = False, is_last: bool = False, is_chunked: bool = False, behind: bytes = b"") -> Manner:
    return Manner(is_http10=is_http10, is_last=is_last, is_chunked=is_chunked, behind=behind)


def old(wire: bytes) -> bytes:
    return wire.replace(b"HTTP/1.1", b"HTTP/1.0", 1)


# How each differs from most, and its body.
UNUSUAL = {
    "two requests": (get() + NEXT, manner(behind=NEXT), None),
    "a byte behind": (get() + b"\0", manner(behind=b"\0"), None),
    "a line end behind": (get() + b"\r\n", manner(behind=b"\r\n"), None),
    "a body that nobody announced": (post(b"hello"), manner(behind=b"hello"), None),
    "a body that is too long": (post(b"hello!", b"Content-Length: 5"), manner(behind=b"!"), b"hello"),
    "an end": (get(b"Connection: close"), manner(is_last=True), None),
    "an end with something behind": (get(b"connection: Close") + NEXT, manner(is_last=True), None),
    "an end said twice": (get(b"Connection: close", b"Connection: close"), manner(is_last=True), None),
    "an end with a body": (
        post(b"hello", b"Content-Length: 5", b"Connection: close"), manner(is_last=True), b"hello"
    ),
    "an old client": (old(get()), manner(is_http10=True, is_last=True), None),
    "an old client with something behind": (old(get()) + NEXT, manner(is_http10=True, is_last=True), None),
    "an old client that stays": (
        old(get(b"Connection: Keep-Alive")) + NEXT, manner(is_http10=True, behind=NEXT), None
    ),
    "an old client with a body": (
        old(post(b"hello", b"Content-Length: 5")), manner(is_http10=True, is_last=True), b"hello"
    ),
    "chunks": (post(CHUNKS, CHUNKED), manner(is_chunked=True), b"hello"),
    "chunks with something behind": (post(CHUNKS, CHUNKED) + NEXT, manner(is_chunked=True, behind=NEXT), b"hello"),
    "several chunks": (
        post(b"2\r\nhe\r\nA\r\n0123456789\r\n01\r\n\n\r\n0\r\n\r\n", b"transfer-encoding: Chunked"),
        manner(is_chunked=True),
        b"he0123456789\n",
    ),
    "chunks and an end": (post(CHUNKS, CHUNKED, b"Connection: close"), manner(is_chunked=True, is_last=True), b"hello"),
    "a chunk that looks like the last": (
        post(b"5\r\n0\r\n\r\n\r\n0\r\n\r\n" + NEXT, CHUNKED), manner(is_chunked=True, behind=NEXT), b"0\r\n\r\n"
    ),
}  # fmt: skip


MANNERS = ("is_http10", "is_last", "is_chunked", "behind")  # compiled, the class has no __slots__ to ask


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_differs_from_most_is_told(name: str) -> None:
    wire, expected, body = UNUSUAL[name]
    taken = read_ordinary(wire)
    assert taken is not None
    assert all(getattr(taken.manner, key) == getattr(expected, key) for key in MANNERS)
    assert taken.body == body


@pytest.mark.parametrize("name", ["an old client with a body", "an end with a body"])
def test_of_a_body_that_is_still_to_come_it_is_known_in_any_manner(name: str) -> None:
    wire = UNUSUAL[name][0]
    for missing_bytes in range(1, 6):
        part = ordinary.read_ordinary(FATES, LIMITS, wire[:-missing_bytes])
        assert part is not None
        assert part.missing_bytes == missing_bytes


def test_an_end_names_a_field_that_does_not_go_on() -> None:
    taken = read_ordinary(get(b"Connection: close", b"Close: x"))
    assert taken is not None
    assert taken.fields.options == ["close"]  # as any other option (RFC 9110 §7.6.1)


@pytest.mark.parametrize("target", [b"http://a/x?y", b"http://a.example:8080/", b"http://127.0.0.1/x#y"])
def test_a_target_with_an_authority_is_taken_as_it_came(target: bytes) -> None:
    taken = read_ordinary(get().replace(b" /x ", b" " + target + b" ", 1))
    assert taken is not None
    assert taken.target == target.decode()


@pytest.mark.parametrize("name", NOT_ORDINARY)
def test_what_is_not_plainly_one_is_left(name: str) -> None:
    assert read_ordinary(NOT_ORDINARY[name]) is None
    assert read_ordinary(get()) is not None
    assert read_ordinary(NOT_ORDINARY[name]) is None  # whatever was remembered meanwhile


@pytest.mark.parametrize("name", ORDINARY)
def test_no_part_of_one_is_taken_nor_more_than_one(name: str) -> None:
    wire = ORDINARY[name][0][:2000]
    assert all(read_ordinary(wire[:end]) is None for end in range(len(wire) - 1))
    taken = read_ordinary(ORDINARY[name][0] + b"\r\n")
    assert taken is not None
    assert (taken.body, taken.manner.behind) == (ORDINARY[name][1][3], b"\r\n")


@pytest.mark.parametrize("name", [name for name in ORDINARY if b"Content-Length" in ORDINARY[name][0]])
def test_of_a_body_that_is_still_to_come_it_is_known_how_much_is_missing(name: str) -> None:
    wire = ORDINARY[name][0][:2000]
    whole = ordinary.read_ordinary(FATES, LIMITS, ORDINARY[name][0])
    assert whole is not None
    head_end = wire.index(b"\r\n\r\n") + 4
    for end in range(head_end):
        assert ordinary.read_ordinary(FATES, LIMITS, wire[:end]) is None
    for end in range(head_end, len(wire)):
        part = ordinary.read_ordinary(FATES, LIMITS, wire[:end])
        assert part is not None
        assert part.missing_bytes == len(ORDINARY[name][0]) - end
        assert (part.method, part.target, part.fields.lines) == (whole.method, whole.target, whole.fields.lines)


def test_a_body_that_is_too_long_or_framed_oddly_is_not_awaited() -> None:
    for line in (b"Content-Length: %d" % (BODY_MAX_BYTES + 1), b"Content-Length: +5", b"Transfer-Encoding: chunked"):
        assert ordinary.read_ordinary(FATES, LIMITS, post(b"", line)) is None
        assert ordinary.read_ordinary(FATES, LIMITS, post(b"he", line)) is None


def test_names_are_remembered_and_nothing_that_they_came_with() -> None:
    fates = FieldFates(frozenset())
    for name in (b"Authorization", b"authorization", b"Cookie", b"X-Api-Key", b"Proxy-Authorization"):
        taken = ordinary.read_ordinary(fates, LIMITS, get(name + b": Bearer s3cr3t").replace(b"/x", b"/x?token=s3cr3t"))
        assert taken is not None
        assert name in fates.known
    assert all(isinstance(fate, int) and b"s3cr3t" not in name for name, fate in fates.known.items())


@pytest.mark.parametrize("value", [b"b\r\nX-User-Id: root", b"b\nX-User-Id: root", b"b\rc", b"b\0", b"b\x7f"])
def test_a_field_that_a_parser_let_pass_with_a_control_becomes_no_line(value: bytes) -> None:
    with pytest.raises(ValueError, match="control"):
        fields_of(FATES, [(b"Host", b"a"), (b"X-A", value)])


def test_lines_go_on_as_they_came_and_in_one_form() -> None:
    taken = read_ordinary(
        get(b"X-A: 1", b"X-User-Id: root", b"x-b:\t2 ", b"X-C:", b"X-D:a: b", b"Te: x", b"Cookie: \xff")
    )
    assert taken is not None
    kept = [b"X-A: 1", b"x-b: 2", b"X-C: ", b"X-D: a: b", b"Cookie: \xff"]
    assert taken.fields.kept == kept
    assert taken.fields.size == sum(len(line) + 2 for line in [*kept, b"Host: a", b"X-User-Id: root", b"Te: x"])


@pytest.mark.parametrize("name", [b"Via", b"Authorization", b"Host", b"Connection", b"X-Forwarded-For", b"A"])
def test_a_head_with_very_many_fields_is_read_in_linear_time(name) -> None:
    """A client may send one name again and again; in quadratic time this takes half a minute."""
    lines, begun_s = [name + b":a"] * 100_000, process_time()
    fields = read_fields(FATES, lines)
    assert process_time() - begun_s < 5
    assert len(fields.lines) == 100_000


def test_a_head_far_beyond_the_limits_is_left_to_be_refused_unread() -> None:
    assert read_ordinary(get(*[b"A: b"] * 199)) is not None  # what is a little too much is refused with its request id
    assert read_ordinary(get(*[b"A: b"] * 200)) is None
    assert read_ordinary(get(b"A: " + b"b" * 2**17)) is None


# Other parsers.


@pytest.fixture(scope="module")
def parsed() -> Iterator[object]:
    """What aiohttp's parser reads, with the limits of the general lane."""
    loop = asyncio.new_event_loop()

    def parse(wire: bytes) -> tuple[str, str, list[tuple[bytes, bytes]], bytes, tuple[bool, bool, bool]]:
        parser = HttpRequestParser(
            BaseProtocol(loop),
            loop,
            2**16,
            max_line_size=2**17,
            max_field_size=2**17,
            max_headers=2**16,
            auto_decompress=False,
        )
        [(message, payload)], is_upgraded, rest = parser.feed_data(wire)
        assert not any((is_upgraded, rest))
        body = payload.read_nowait(-1) if hasattr(payload, "read_nowait") else b""
        assert payload.is_eof()
        manner = message.version == (1, 0), message.should_close, message.chunked
        return message.method, message.path, list(message.raw_headers), body, manner

    yield parse
    loop.close()


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.integers(0, 300), st.sampled_from([b""] * 3) | st.binary(max_size=3))
def test_whatever_is_taken_is_sound_and_whole_to_the_scanner_and_the_same_to_the_other_parser(
    parsed, seed, position, splice
) -> None:
    """`splice` is put anywhere, where there is one."""
    for sent in Generator(seed).draw().sends:
        wire = sent.wire[:position] + splice + sent.wire[position:]
        taken = read_ordinary(wire)
        assert not (splice == b"" and sent.pieces == 1 and sent.ordinary) or taken is not None
        if taken is None:
            continue
        event("taken")
        scanner, own, manner = Scanner(HeadLimits(2**16, 10_000)), wire, taken.manner
        passed, end, is_sound = scanner.take(wire)
        if manner.is_last:
            assert (scanner.is_behind_the_last, manner.behind) == (True, b"")
            own = wire[:end] if end else wire
        else:
            own = wire.removesuffix(manner.behind)
            assert all_taken(Scanner(HeadLimits(2**16, 10_000)), own + NEXT) == (
                own + NEXT,
                True,
            )  # there the next begins
        assert (passed, end, is_sound, scanner.held_bytes) == (own, len(own), True, 0)
        method, path, fields, body, told = parsed(own)
        assert (taken.method, taken.target) == (method, path)
        raw = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in taken.fields.pairs]
        assert (raw, taken.body or b"") == (fields, body)
        assert (manner.is_http10, manner.is_last, manner.is_chunked) == told
