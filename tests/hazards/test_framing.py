"""Framing (RFC 9112): what two parsers could read differently is refused, and its connection ends."""

import asyncio

import pytest
from support.lanes import lane_keys
from support.running_gateway import RunningGateway, configuration, provider_settings
from support.transcript import GATEWAY_HOST, TOKEN, Case, Gets, Line, Stage, forwarded, head, passed, played, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

GET, POST = b"GET /any/x", b"POST /any/x"
SMUGGLED = b"GET /open/smuggled HTTP/1.1\r\nHost: gw.example\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"


def chunks(wire: bytes) -> bytes:
    return head(POST, CHUNKED) + wire


def line(wire: bytes) -> bytes:
    """A request with `wire` for a header line, CRLF and all."""
    return b"GET /any/x HTTP/1.1\r\nHost: gw.example\r\n" + TOKEN + wire + b"\r\n"


# RFC 9112 §6.1 and §6.3: one length, or chunked.


@played(
    refused("length first", head(POST, b"Content-Length: 5", CHUNKED) + b"0\r\n\r\n" + SMUGGLED, 400, main=True),
    refused("chunked first", head(POST, CHUNKED, b"Content-Length: 5") + b"0\r\n\r\n" + SMUGGLED, 400),
    refused("length of nought", head(POST, CHUNKED, b"Content-Length: 0") + b"5\r\nhello\r\n0\r\n\r\n", 400),
    refused("in lower case", head(POST, b"content-length: 5", b"transfer-encoding: chunked") + b"0\r\n\r\n", 400),
    refused("on a GET", head(GET, b"Content-Length: 5", CHUNKED) + b"0\r\n\r\n", 400),
    refused("bad length", head(POST, CHUNKED, b"Content-Length: x") + b"0\r\n\r\n", 400),
    refused("identity", head(POST, b"Content-Length: 5", b"Transfer-Encoding: identity") + b"hello", 400),
    refused("empty encoding", head(POST, b"Content-Length: 5", b"Transfer-Encoding:") + b"hello", 400),
)
async def test_a_length_with_an_encoding_is_refused(stage, case, run):
    await stage.play(case, run)


@played(
    refused("equal", head(POST, b"Content-Length: 5", b"Content-Length: 5") + b"hello", 400, main=True),
    refused("unequal", head(POST, b"Content-Length: 5", b"Content-Length: 6") + b"hello" + SMUGGLED, 400),
    refused("in two cases", head(POST, b"content-length: 5", b"CONTENT-LENGTH: 5") + b"hello", 400),
    refused("noughts", head(POST, b"Content-Length: 0", b"Content-Length: 0"), 400),
    refused("a list", head(POST, b"Content-Length: 5,5") + b"hello", 400),
    refused("a spaced list", head(POST, b"Content-Length: 5, 5") + b"hello", 400),
    refused("an unequal list", head(POST, b"Content-Length: 5,6") + b"hello", 400),
    refused("an open list", head(POST, b"Content-Length: 5,") + b"hello", 400),
    refused("one empty", head(POST, b"Content-Length: 5", b"Content-Length:") + b"hello", 400),
)
async def test_two_lengths_are_refused(stage, case, run):
    await stage.play(case, run)


BAD_LENGTHS = {
    "plus": b"+5",
    "minus": b"-5",
    "minus nought": b"-0",
    "hex": b"0x5",
    "hex digits": b"a",
    "octal": b"0o5",
    "blank within": b"1 0",
    "tab within": b"1\t0",
    "underscore": b"1_0",
    "arabic digit": "\u0665".encode(),
    "superscript": "\u00b2".encode(),
    "latin-1 superscript": b"\xb2",
    "20 digits": b"9" * 20,
    "2 to the 64": b"18446744073709551616",
    "2 to the 64 and 5": b"18446744073709551621",
    "20 noughts": b"0" * 19 + b"5",
    "empty": b"",
    "blanks": b"   ",
    "point": b"5.0",
    "exponent": b"5e0",
    "quotes": b'"5"',
    "semicolon": b"5;",
    "word": b"five",
    "vertical tab": b"\x0b5",
    "form feed": b"5\x0c",
    "NUL": b"5\0",
    "no-break space": b"\xa05",
}


@played(
    *(
        refused(name, head(POST, b"Content-Length: " + value) + b"hello", 400, main=name == "plus")
        for name, value in BAD_LENGTHS.items()
    )
)
async def test_a_length_is_plain_digits(stage, case, run):
    await stage.play(case, run)


BAD_ENCODINGS = {
    "gzip first": (b"Transfer-Encoding: gzip, chunked",),
    "gzip last": (b"Transfer-Encoding: chunked, gzip",),
    "gzip alone": (b"Transfer-Encoding: gzip",),
    "identity": (b"Transfer-Encoding: identity",),
    "identity first": (b"Transfer-Encoding: identity, chunked",),
    "twice": (CHUNKED, CHUNKED),
    "a list of two": (b"Transfer-Encoding: chunked, chunked",),
    "identity on a second line": (CHUNKED, b"Transfer-Encoding: identity"),
    "x on a second line": (CHUNKED, b"transfer-encoding: x"),
    "empty": (b"Transfer-Encoding:",),
    "empty on a second line": (CHUNKED, b"Transfer-Encoding:"),
    "open list": (b"Transfer-Encoding: chunked,",),
    "list that begins empty": (b"Transfer-Encoding: ,chunked",),
    "prefix": (b"Transfer-Encoding: xchunked",),
    "suffix": (b"Transfer-Encoding: chunkedx",),
    "quotes": (b'Transfer-Encoding: "chunked"',),
    "parameter": (b"Transfer-Encoding: chunked;q=1",),
    "blank within": (b"Transfer-Encoding: chun ked",),
    "vertical tab": (b"Transfer-Encoding: \x0bchunked",),
    "form feed": (b"Transfer-Encoding: chunked\x0c",),
    "no-break space": (b"Transfer-Encoding: \xa0chunked",),
    "NUL": (b"Transfer-Encoding: chunked\0",),
    "kelvin sign": ("Transfer-Encoding: chun\u212aed".encode(),),
    "blank before the colon": (b"Transfer-Encoding : chunked",),
    "tab before the colon": (b"Transfer-Encoding\t: chunked",),
    "folded": (b"Transfer-Encoding:", b" chunked"),
    "folded by a tab": (b"Transfer-Encoding: ", b"\tchunked"),
    "folded behind": (b"Transfer-Encoding: chunked", b" , identity"),
}


@played(
    *(
        refused(name, head(POST, *lines) + b"0\r\n\r\n" + SMUGGLED, 400, main=name == "gzip first")
        for name, lines in BAD_ENCODINGS.items()
    )
)
async def test_an_encoding_is_exactly_one_chunked(stage, case, run):
    await stage.play(case, run)


@played(
    refused("chunked", head(POST, CHUNKED, version=b"HTTP/1.0") + b"0\r\n\r\n", 400, main=True),
    refused("kept alive", head(POST, CHUNKED, b"Connection: keep-alive", version=b"HTTP/1.0") + b"0\r\n\r\n", 400),
    refused("with a length", head(POST, CHUNKED, b"Content-Length: 5", version=b"HTTP/1.0") + b"hello", 400),
    refused("identity", head(POST, b"Transfer-Encoding: identity", version=b"HTTP/1.0"), 400),
)
async def test_an_encoding_in_http_1_0_is_refused(stage, case, run):
    await stage.play(case, run)


def ordinary(body: bytes, *framing: bytes) -> bytes:
    return forwarded(POST, *framing, body=body)


@played(
    passed("length", head(POST, b"Content-Length: 5") + b"hello", ordinary(b"hello", b"Content-Length: 5"), main=True),
    passed("nought", head(POST, b"Content-Length: 0"), ordinary(b"", b"Content-Length: 0")),
    passed("chunked", chunks(b"5\r\nhello\r\n0\r\n\r\n"), ordinary(b"hello", CHUNKED), main=True),
    passed("no chunk", chunks(b"0\r\n\r\n"), ordinary(b"", CHUNKED)),
    passed("in capitals", head(POST, b"transfer-encoding: CHUNKED") + b"A\r\n0123456789\r\n0\r\n\r\n",
           ordinary(b"0123456789", CHUNKED)),
    passed("blanks around", head(POST, b"Transfer-Encoding: \t chunked") + b"1\r\nx\r\n1\r\ny\r\n0\r\n\r\n",
           ordinary(b"xy", CHUNKED)),
    passed("extension", chunks(b'5;a=b;c="d\\"e"\r\nhello\r\n0;z\r\n\r\n'), ordinary(b"hello", CHUNKED)),
    passed("body like a request", head(POST, b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED,
           ordinary(SMUGGLED, b"Content-Length: %d" % len(SMUGGLED))),
    passed("chunk like a request", chunks(b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
           ordinary(SMUGGLED, CHUNKED)),
)  # fmt: skip
async def test_an_ordinary_body_passes_as_it_is(stage, case, run):
    await stage.play(case, run)


# RFC 9112 §5: field lines.

BAD_LINES = {
    "blank before the colon": b"X-A : b\r\n",
    "tab before the colon": b"X-A\t: b\r\n",
    "folded by a blank": b"X-A: b\r\n c\r\n",
    "folded by a tab": b"X-A: b\r\n\tc\r\n",
    "folded empty": b"X-A: b\r\n \r\n",
    "host before the colon": b"Host : evil\r\n",
    "no colon": b"X-A\r\n",
    "no name": b": b\r\n",
    "blank for a name": b" : b\r\n",
    "blank in the name": b"X A: b\r\n",
    "NUL in the name": b"X\0A: b\r\n",
    "control in the name": b"X\x01A: b\r\n",
    "delete in the name": b"X\x7fA: b\r\n",
    "non-ASCII name": b"X-\xc3\xa9: b\r\n",
    "latin-1 name": b"X-\xe9: b\r\n",
    "parenthesis in the name": b"X(A): b\r\n",
    "quote in the name": b'X"A: b\r\n',
    "slash in the name": b"X/A: b\r\n",
    "bracket in the name": b"X[A]: b\r\n",
    "at in the name": b"X@A: b\r\n",
    "semicolon in the name": b"X;A: b\r\n",
    "comma in the name": b"X,A: b\r\n",
    "equals in the name": b"X=A: b\r\n",
    "brace in the name": b"X{A}: b\r\n",
    "backslash in the name": b"X\\A: b\r\n",
    "NUL in the value": b"X-A: b\0c\r\n",
    "NUL first": b"X-A: \0b\r\n",
    "NUL last": b"X-A: b\0\r\n",
    "control in the value": b"X-A: b\x01c\r\n",
    "vertical tab in the value": b"X-A: b\x0bc\r\n",
    "form feed in the value": b"X-A: b\x0cc\r\n",
    "backspace in the value": b"X-A: b\x08c\r\n",
    "escape in the value": b"X-A: b\x1bc\r\n",
    "unit separator in the value": b"X-A: b\x1fc\r\n",
    "delete in the value": b"X-A: b\x7fc\r\n",
    "bare LF": b"X-A: b\nX-B: c\r\n",
    "bare LF at the end": b"X-A: b\n",
    "bare LF in the name": b"X-\nA: b\r\n",
    "LF before CRLF": b"X-A: b\n\r\n",
    "bare CR in the value": b"X-A: b\rc\r\n",
    "bare CR before a name": b"X-A: b\r\rX-B: c\r\n",
    "bare CR at the end": b"X-A: b\rX-B: c\r\n",
    "two CR": b"X-A: b\r\r\n",
    "CR in the name": b"X-\rA: b\r\n",
    "CR before the colon": b"X-A\r: b\r\n",
    "CR behind the colon": b"X-A:\rb\r\n",
    "bare LF hides a length": b"X-A: b\nContent-Length: 40\r\n",
    "bare CR hides a length": b"X-A: b\rContent-Length: 40\r\n",
    "LF ends the head": b"X-A: b\r\n\n" + SMUGGLED,
    "CR ends the head": b"X-A: b\r\n\r" + SMUGGLED,
}


@played(*(refused(name, line(wire), 400, main=name == "folded by a blank") for name, wire in BAD_LINES.items()))
async def test_a_header_line_is_strict(stage, case, run):
    await stage.play(case, run)


def first(wire: bytes) -> bytes:
    """A request with `wire` for its beginning, up to and with the first header line's start."""
    return wire + b"Host: gw.example\r\n" + TOKEN + b"\r\n"


@played(
    refused("starts with a blank", first(b"GET /any/x HTTP/1.1\r\n X-A: b\r\n"), 400, main=True),
    refused("starts with a tab", first(b"GET /any/x HTTP/1.1\r\n\tX-A: b\r\n"), 400),
    refused("a blank line of blanks", first(b"GET /any/x HTTP/1.1\r\n \r\n"), 400),
    refused("host starts with a blank", b"GET /any/x HTTP/1.1\r\n Host: gw.example\r\n\r\n", 400),
)
async def test_the_first_header_line_starts_with_a_name(stage, case, run):
    await stage.play(case, run)


# RFC 9112 §3: the request line.

BAD_STARTS = {
    "two blanks before the target": b"GET  /any/x HTTP/1.1\r\n",
    "two blanks behind the target": b"GET /any/x  HTTP/1.1\r\n",
    "tab before the target": b"GET\t/any/x HTTP/1.1\r\n",
    "tab behind the target": b"GET /any/x\tHTTP/1.1\r\n",
    "blank at the end": b"GET /any/x HTTP/1.1 \r\n",
    "blank at the beginning": b" GET /any/x HTTP/1.1\r\n",
    "vertical tab": b"GET\x0b/any/x HTTP/1.1\r\n",
    "form feed": b"GET /any/x\x0cHTTP/1.1\r\n",
    "bare LF": b"GET /any/x HTTP/1.1\n",
    "bare CR": b"GET /any/x HTTP/1.1\r",
    "two CR": b"GET /any/x HTTP/1.1\r\r\n",
    "CR for a blank": b"GET /any/x\rHTTP/1.1\r\n",
    "NUL in the target": b"GET /any/x\0 HTTP/1.1\r\n",
    "NUL in the method": b"G\0ET /any/x HTTP/1.1\r\n",
    "NUL first": b"\0GET /any/x HTTP/1.1\r\n",
    "control in the target": b"GET /any/\x01x HTTP/1.1\r\n",
    "delete in the target": b"GET /any/\x7fx HTTP/1.1\r\n",
    "non-ASCII target": b"GET /any/\xc3\xa9 HTTP/1.1\r\n",
    "blank in the target": b"GET /any/x y HTTP/1.1\r\n",
    "two versions": b"GET /any/x HTTP/1.1 HTTP/1.1\r\n",
    "no version": b"GET /any/x\r\n",
    "no target": b"GET HTTP/1.1\r\n",
    "empty target": b"GET  HTTP/1.1\r\n",
    "no method": b"/any/x HTTP/1.1\r\n",
    "empty method": b" /any/x HTTP/1.1\r\n",
    "HTTP/0.9": b"GET /any/x HTTP/0.9\r\n",
    "HTTP/1.2": b"GET /any/x HTTP/1.2\r\n",
    "HTTP/01.1": b"GET /any/x HTTP/01.1\r\n",
    "HTTP/1.01": b"GET /any/x HTTP/1.01\r\n",
    "HTTP/1.10": b"GET /any/x HTTP/1.10\r\n",
    "HTTP/1": b"GET /any/x HTTP/1\r\n",
    "HTTP/1.": b"GET /any/x HTTP/1.\r\n",
    "HTTP/-1.1": b"GET /any/x HTTP/-1.1\r\n",
    "http/1.1": b"GET /any/x http/1.1\r\n",
    "HTTP 1.1": b"GET /any/x HTTP 1.1\r\n",
    "HTTPS": b"GET /any/x HTTPS/1.1\r\n",
    "RTSP": b"GET /any/x RTSP/1.0\r\n",
    "ICE": b"GET /any/x ICE/1.0\r\n",
    "SOURCE": b"SOURCE /any/x ICE/1.0\r\n",
    "DESCRIBE": b"DESCRIBE /any/x RTSP/1.0\r\n",
    "method with a bracket": b"GE[T /any/x HTTP/1.1\r\n",
    "method with a colon": b"GET: /any/x HTTP/1.1\r\n",
    "non-ASCII method": b"G\xc3\x89T /any/x HTTP/1.1\r\n",
    "answer": b"HTTP/1.1 200 OK\r\n",
    "quoted method": b'"GET" /any/x HTTP/1.1\r\n',
    "fragment": b"GET /any/x#y HTTP/1.1\r\n",
    "three empty lines before": b"\r\n\r\n\r\nGET /any/x HTTP/1.1\r\n",
    "a method of 129 letters": b"A" * 129 + b" /any/x HTTP/1.1\r\n",
    "bare LF before": b"\nGET /any/x HTTP/1.1\r\n",
    "bare CR before": b"\rGET /any/x HTTP/1.1\r\n",
    "LF and CR before": b"\n\rGET /any/x HTTP/1.1\r\n",
    "byte order mark": b"\xef\xbb\xbfGET /any/x HTTP/1.1\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
    "PROXY protocol": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET /any/x HTTP/1.1\r\n",
}


@played(
    *(refused(name, first(wire), 400, main=name.startswith("two blanks before")) for name, wire in BAD_STARTS.items())
)
async def test_the_request_line_is_strict(stage, case, run):
    await stage.play(case, run)


@played(
    refused("HTTP/2.0", first(b"GET /any/x HTTP/2.0\r\n"), 505, code="http_version_not_supported", main=True),
    refused("HTTP/3.0", first(b"GET /any/x HTTP/3.0\r\n"), 505, code="http_version_not_supported"),
    refused("HTTP/9.9", first(b"BREW /any/x HTTP/9.9\r\n"), 505, code="http_version_not_supported"),
    refused("without Host", b"GET /any/x HTTP/2.0\r\n\r\n", 505),
    refused("and a request", b"GET /any/x HTTP/2.0\r\n\r\n" + SMUGGLED, 505),
)
async def test_another_major_version_is_not_served(stage, case, run):
    """RFC 9110 §15.6.6. `PRI` is no request of it, but the beginning of its connection."""
    await stage.play(case, run)


@played(
    passed("one", b"\r\n" + head(GET), forwarded(GET), main=True),
    passed("two", b"\r\n\r\n" + head(GET), forwarded(GET), main=True),
    passed("two between two", head(GET) + b"\r\n\r\n" + head(b"GET /open/next").replace(TOKEN, b""),
           forwarded(GET), forwarded(b"GET /open/next", anonymous=True)),
    refused("two and a bad start", b"\r\n\r\n" + first(b"GET  /any/x HTTP/1.1\r\n"), 400),
)  # fmt: skip
async def test_an_empty_line_or_two_before_a_request_are_passed_over(stage, case, run):
    """RFC 9112 §2.2: old clients send one behind a body."""
    await stage.play(case, run)


METHODS = ("BREW", "LIST", "VERSION-CONTROL", "BASELINE-CONTROL", "LABEL", "ORDERPATCH", "BAN", "GETT", "M-SEARCH", "x",
           "SOURCE", "QUERY", "PURGE", "!#$%&'*+-.^_`|~0aZ", "A" * 128)  # fmt: skip


@played(
    *(
        passed(name[:20], head(f"{name} /any/x".encode()), forwarded(f"{name} /any/x".encode()), main=name == "LIST")
        for name in METHODS
    ),
    passed("with a body", head(b"LIST /any/x", b"Content-Length: 5") + b"hello",
           forwarded(b"LIST /any/x", b"Content-Length: 5", body=b"hello")),
    passed("with chunks", head(b"BREW /any/x", CHUNKED) + b"5\r\nhello\r\n0\r\n\r\n",
           forwarded(b"BREW /any/x", CHUNKED, body=b"hello")),
    passed("two of them", head(b"BREW /any/x") + head(b"LIST /open/next").replace(TOKEN, b""),
           forwarded(b"BREW /any/x"), forwarded(b"LIST /open/next", anonymous=True)),
)  # fmt: skip
async def test_a_method_is_any_token(stage, case, run):
    """RFC 9110 §9.1."""
    await stage.play(case, run)


@played(
    refused("CONNECT", head(b"CONNECT gw.example:80"), 400, main=True),
    refused("CONNECT with a path", head(b"CONNECT /any/x"), 400),
    refused("CONNECT with a body", head(b"CONNECT gw.example:80", b"Content-Length: 5") + b"hello", 400),
    refused("CONNECT and bytes", head(b"CONNECT gw.example:80") + SMUGGLED, 400),
    refused("TRACE", head(b"TRACE /any/x"), 400, main=True),
    refused("TRACE with a body", head(b"TRACE /any/x", b"Content-Length: 5") + b"hello", 400),
    refused("PRI", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, main=True),
    refused("PRI with frames", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0", 400),
    refused("PRI as HTTP/1.1", head(b"PRI /any/x"), 400),
    refused("PRI with a host", head(b"PRI *", version=b"HTTP/2.0"), 400),
    refused("asterisk", head(b"OPTIONS *"), 400, main=True),
    refused("asterisk with GET", head(b"GET *"), 400),
    refused("asterisk and a path", head(b"OPTIONS */any/x"), 400),
    refused("authority", head(b"GET gw.example:80"), 400),
    refused("relative path", head(b"GET any/x"), 400),
    refused("query alone", head(b"GET ?/any/x"), 400),
    refused("another scheme", head(b"GET ftp://gw.example/any/x"), 400),
    refused("file scheme", head(b"GET file:///any/x"), 400),
)
async def test_no_asterisk_connect_trace_or_pri(stage, case, run):
    await stage.play(case, run)


@played(
    refused("get", head(b"get /any/x"), 400, 405, 501, main=True),
    refused("Get", head(b"Get /any/x"), 400, 405, 501),
    refused("post", head(b"post /any/x", b"Content-Length: 5") + b"hello", 400, 405, 501),
    refused("Propfind", head(b"Propfind /any/x"), 400, 405, 501),
    refused("connect", head(b"connect gw.example:80"), 400, 405, 501),
    refused("trace", head(b"trace /any/x"), 400, 405, 501),
)
async def test_methods_are_told_apart_by_case(stage, case, run):
    """None of these is `GET`, `CONNECT` or `TRACE` to us; some backends take them for just that, so they are none."""
    await stage.play(case, run)


# RFC 9112 §3.2: Host.

BAD_HOSTS = {
    "empty": b"",
    "a list": b"gw.example, evil.example",
    "a tight list": b"gw.example,evil.example",
    "userinfo": b"user@gw.example",
    "userinfo with a password": b"user:pass@gw.example",
    "empty userinfo": b"@gw.example",
    "a path": b"gw.example/any",
    "a slash": b"gw.example/",
    "a query": b"gw.example?x",
    "a fragment": b"gw.example#x",
    "a scheme": b"http://gw.example",
    "a backslash": b"gw.example\\evil",
    "a blank": b"gw.example evil",
    "a tab": b"gw.example\tevil",
    "a port that is none": b"gw.example:http",
    "a port out of range": b"gw.example:65536",
    "a long port": b"gw.example:000080",
    "a negative port": b"gw.example:-80",
    "two ports": b"gw.example:80:80",
    "a port alone": b":80",
    "a dot alone": b".",
    "two dots": b"gw..example",
    "a leading dot": b".gw.example",
    "percent": b"gw%2eexample",
    "non-ASCII": b"gw.ex\xc3\xa4mple",
    "brackets": b"[gw.example]",
    "an open bracket": b"[::1",
    "a zone": b"[fe80::1%25eth0]",
    "brackets and more": b"[::1]evil",
    "too long": b"a" * 256,
    "quotes": b'"gw.example"',
    "NUL": b"gw.example\0",
    "semicolon": b"gw.example;x",
}


@played(
    refused("missing", head(GET, host=None), 400, main=True),
    refused("twice", head(GET, b"Host: gw.example"), 400, main=True),
    refused("twice, unequal", head(GET, b"Host: evil.example"), 400),
    refused("twice in two cases", head(GET, b"HOST: gw.example"), 400),
    refused("twice with an absolute target", head(b"GET http://gw.example/any/x", b"Host: gw.example"), 400),
    refused("missing with an absolute target", head(b"GET http://gw.example/any/x", host=None), 400),
    refused("folded", head(GET, b" evil.example"), 400),
    refused("twice in HTTP/1.0", head(GET, b"Host: gw.example", version=b"HTTP/1.0"), 400),
    refused("empty in HTTP/1.0", head(GET, host=b"", version=b"HTTP/1.0"), 400),
    *(refused(name, head(GET, host=value), 400) for name, value in BAD_HOSTS.items()),
)
async def test_host_is_exactly_one_host(stage, case, run):
    await stage.play(case, run)


def without_host(seen: bytes) -> bytes:
    return seen.replace(b"X-Forwarded-Host: " + GATEWAY_HOST + b"\r\n", b"")


@played(
    passed("missing", head(GET, host=None, version=b"HTTP/1.0"), without_host(forwarded(GET, via=b"1.0 gateway")),
           main=True, closed=True),
    passed("look-alikes", head(GET, b"H_ost: evil.example", b"H-o-s-t: evil.example", host=None, version=b"HTTP/1.0"),
           without_host(forwarded(GET, via=b"1.0 gateway")), closed=True),
)  # fmt: skip
async def test_http_1_0_may_come_without_host_and_tells_the_backend_of_none(stage, case, run):
    await stage.play(case, run)


def absolute(authority: bytes, *, host: bytes = b"gw.example") -> bytes:
    return head(b"GET http://" + authority + b"/any/x", host=host)


@played(
    passed("wins", absolute(b"other.example", host=b"gw.example"), forwarded(GET, host=b"other.example"), main=True),
    passed("with a port", absolute(b"other.example:81"), forwarded(GET, host=b"other.example:81")),
    passed("in capitals", head(b"GET HTTP://other.example/any/x"), forwarded(GET, host=b"other.example")),
    passed("https", head(b"GET https://other.example/any/x"), forwarded(GET, host=b"other.example")),
    refused("with a bad Host", absolute(b"gw.example", host=b"user@evil.example"), 400),
    refused("with a Host list", absolute(b"gw.example", host=b"a.example, b.example"), 400),
    refused("with userinfo", absolute(b"user@gw.example"), 400),
    refused("with userinfo and a password", absolute(b"gw.example:80@evil.example"), 400),
    refused("without an authority", absolute(b""), 400),
    refused("with a backslash", absolute(b"gw.example\\@evil.example"), 400),
    refused("with a bad port", absolute(b"gw.example:x"), 400),
    refused("with one slash", head(b"GET http:/any/x"), 400),
    refused("with three slashes", head(b"GET http:///any/x"), 400),
    refused("with a list", absolute(b"gw.example,evil.example"), 400),
    refused("within another", head(b"GET http://gw.example//http://evil.example/any/x"), 400),
    refused("with an open bracket", absolute(b"[::1"), 400),
)
async def test_an_absolute_target_wins_over_host(stage, case, run):
    await stage.play(case, run)


# RFC 9112 §7.1: chunks.

BAD_SIZES = {
    "plus": b"+5",
    "minus": b"-5",
    "minus nought": b"-0",
    "0x": b"0x5",
    "0X": b"0X5",
    "hash": b"#5",
    "dollar": b"$5",
    "h behind": b"5h",
    "blank before": b" 5",
    "tab before": b"\t5",
    "blank behind": b"5 ",
    "tab behind": b"5\t",
    "many blanks behind": b"5" + b" " * 100,
    "blank within": b"0 5",
    "underscore": b"0_5",
    "point": b"5.0",
    "comma": b"5,5",
    "empty": b"",
    "extension alone": b";a=b",
    "word": b"five",
    "g": b"g",
    "arabic digit": "\u0665".encode(),
    "full width digit": "\uff15".encode(),
    "2 to the 32 and 5 of 16": b"0" * 11 + b"100000005",
    "2 to the 64": b"10000000000000000",
    "2 to the 64 and 5": b"10000000000000005",
    "all ones": b"f" * 16,
    "2 to the 63": b"8000000000000000",
    "long noughts": b"0" * 40 + b"5",
    "very long noughts": b"0" * 3000 + b"5",
    "NUL": b"5\0",
    "vertical tab": b"5\x0b",
    "form feed": b"\x0c5",
    "quotes": b'"5"',
    "exponent": b"5e\xff",
}


@played(
    *(
        refused(name, chunks(size + b"\r\nhello\r\n0\r\n\r\n"), 400, main=name == "plus", piece=max(1, len(size) // 50))
        for name, size in BAD_SIZES.items()
    )
)
async def test_a_chunk_size_is_plain_hex(stage, case, run):
    await stage.play(case, run)


BAD_EXTENSIONS = {
    "bare LF": b"5;a\nb\r\n",
    "bare LF at the end": b"5;a\n",
    "bare LF in a value": b"5;a=b\nc\r\n",
    "bare LF in quotes": b'5;a="b\nc"\r\n',
    "bare LF without a name": b"5;\n",
    "bare LF hides a chunk": b"5;\nxx\r\n",
    "bare CR": b"5;a\rb\r\n",
    "bare CR in a value": b"5;a=b\rc\r\n",
    "bare CR in quotes": b'5;a="b\rc"\r\n',
    "two CR": b"5;a\r\r\n",
    "CRLF in quotes": b'5;a="b\r\nc"\r\n',
    "NUL": b"5;a=\0\r\n",
    "control": b"5;a=\x01\r\n",
    "delete": b"5;a=\x7f\r\n",
    "long name": b"5;" + b"a" * 70_000 + b"\r\n",
    "long value": b"5;a=" + b"b" * 70_000 + b"\r\n",
    "long quoted value": b'5;a="' + b"b" * 70_000 + b'"\r\n',
    "many": b"5" + b";a=b" * 20_000 + b"\r\n",
    "without end": b"5;a=" + b"b" * 200_000,
}


@played(
    *(
        refused(name, chunks(wire + b"hello\r\n0\r\n\r\n"), 400, main=name == "bare LF", piece=max(1, len(wire) // 50))
        for name, wire in BAD_EXTENSIONS.items()
    ),
    refused("long on the last chunk", chunks(b"5\r\nhello\r\n0;" + b"a" * 70_000 + b"\r\n\r\n"), 400, piece=997),
    refused("on each of many chunks", chunks((b"1;" + b"a" * 100 + b"\r\nx\r\n") * 600 + b"0\r\n\r\n"), 400, piece=997),
)
async def test_chunk_extensions_are_one_short_line(stage, case, run):
    await stage.play(case, run)


@played(
    refused("nothing", chunks(b"5\r\nhello0\r\n\r\n"), 400, main=True),
    refused("LF alone", chunks(b"5\r\nhello\n0\r\n\r\n"), 400),
    refused("CR alone", chunks(b"5\r\nhello\r0\r\n\r\n"), 400),
    refused("LF and CR", chunks(b"5\r\nhello\n\r0\r\n\r\n"), 400),
    refused("two CR", chunks(b"5\r\nhello\r\r\n0\r\n\r\n"), 400),
    refused("a letter", chunks(b"5\r\nhelloX\r\n0\r\n\r\n"), 400),
    refused("two letters for it", chunks(b"5\r\nhelloXX0\r\n\r\n"), 400),
    refused("a blank before", chunks(b"5\r\nhello \r\n0\r\n\r\n"), 400),
    refused("too long a size", chunks(b"6\r\nhello\r\n0\r\n\r\n"), 400),
    refused("too short a size", chunks(b"4\r\nhello\r\n0\r\n\r\n"), 400),
    refused("size ends with LF", chunks(b"5\nhello\r\n0\r\n\r\n"), 400),
    refused("size ends with CR", chunks(b"5\rhello\r\n0\r\n\r\n"), 400),
    refused("size ends with two CR", chunks(b"5\r\r\nhello\r\n0\r\n\r\n"), 400),
)
async def test_chunk_data_ends_with_crlf(stage, case, run):
    await stage.play(case, run)


@played(
    refused("a blank before its size", chunks(b"5\r\nhello\r\n 0\r\n\r\n"), 400, main=True),
    refused("LF behind its size", chunks(b"5\r\nhello\r\n0\n\r\n" + SMUGGLED), 400),
    refused("LF for the end", chunks(b"5\r\nhello\r\n0\r\n\n" + SMUGGLED), 400),
    refused("LF twice", chunks(b"5\r\nhello\r\n0\n\n" + SMUGGLED), 400),
    refused("CR for the end", chunks(b"5\r\nhello\r\n0\r\n\r" + SMUGGLED), 400),
    refused("a request for the end", chunks(b"5\r\nhello\r\n0\r\n" + SMUGGLED), 400),
    refused("a blank for the end", chunks(b"5\r\nhello\r\n0\r\n \r\n\r\n"), 400),
    refused("letters", chunks(b"5\r\nhello\r\nzz\r\n\r\n"), 400),
    refused("an empty size", chunks(b"5\r\nhello\r\n\r\n\r\n"), 400),
    refused("NUL", chunks(b"5\r\nhello\r\n0\r\n\0\r\n"), 400),
    refused("a sign", chunks(b"5\r\nhello\r\n-0\r\n\r\n"), 400),
    refused("a word", chunks(b"5\r\nhello\r\n0\r\nX\r\n\r\n"), 400),
)
async def test_junk_is_no_last_chunk(stage, case, run):
    await stage.play(case, run)


# RFC 9112 §7.1.2: trailers.

PLAIN = b"5\r\nhello\r\n0\r\n"


@played(
    passed("dropped", chunks(PLAIN + b"X-T: 1\r\n\r\n"), ordinary(b"hello", CHUNKED), main=True),
    passed("identity", chunks(PLAIN + b"X-User-Id: root\r\nX_User_Id: root\r\n\r\n"), ordinary(b"hello", CHUNKED)),
    passed("framing", chunks(PLAIN + b"Content-Length: 40\r\n\r\n"), ordinary(b"hello", CHUNKED)),
    passed("encoding", chunks(PLAIN + b"Transfer-Encoding: chunked\r\n\r\n"), ordinary(b"hello", CHUNKED)),
    passed("host", chunks(PLAIN + b"Host: evil.example\r\n\r\n"), ordinary(b"hello", CHUNKED)),
    passed("connection", chunks(PLAIN + b"Connection: close, x-user-id\r\n\r\n"), ordinary(b"hello", CHUNKED)),
    passed("authorization", chunks(PLAIN + b"Authorization: Bearer other\r\n\r\n"), ordinary(b"hello", CHUNKED)),
    passed("upgrade", chunks(PLAIN + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
           ordinary(b"hello", CHUNKED)),
    passed("announced", head(POST, CHUNKED, b"Trailer: X-T", b"TE: trailers") + PLAIN + b"X-T: 1\r\n\r\n",
           ordinary(b"hello", CHUNKED)),
    refused("folded", chunks(PLAIN + b"X-T: 1\r\n 2\r\n\r\n"), 400),
    refused("bare LF", chunks(PLAIN + b"X-T: 1\nX-U: 2\r\n\r\n"), 400),
    refused("bare CR", chunks(PLAIN + b"X-T: 1\rX-U: 2\r\n\r\n"), 400),
    refused("NUL", chunks(PLAIN + b"X-T: \0\r\n\r\n"), 400),
    refused("control", chunks(PLAIN + b"X-T: \x01\r\n\r\n"), 400),
    refused("blank before the colon", chunks(PLAIN + b"X-T : 1\r\n\r\n"), 400),
    refused("no name", chunks(PLAIN + b": 1\r\n\r\n"), 400),
    refused("no colon", chunks(PLAIN + b"X-T\r\n\r\n"), 400),
    refused("long", chunks(PLAIN + b"X-T: " + b"a" * 70_000 + b"\r\n\r\n"), 400, 431, piece=997),
    refused("many", chunks(PLAIN + b"X-T: 1\r\n" * 10_000 + b"\r\n"), 400, 431, piece=997),
    refused("without end", chunks(PLAIN + b"X-T: 1\r\n" * 30_000), 400, 431, piece=997),
)  # fmt: skip
async def test_trailers_are_never_merged(stage, case, run):
    await stage.play(case, run)


LOOK_ALIKES = (b"Content_Length", b"Transfer_Encoding", b"content.length", b"TRANSFER.ENCODING", b"Content-_Length")


@played(
    passed("length", head(POST, b"Content_Length: 99", b"Content-Length: 5") + b"hello",
           ordinary(b"hello", b"Content-Length: 5"), main=True),
    passed("encoding", head(POST, b"Transfer_Encoding: chunked", b"Content-Length: 5") + b"hello",
           ordinary(b"hello", b"Content-Length: 5")),
    passed("both", head(POST, b"Content_Length: 1", b"Content_Length: 2", b"transfer_encoding: x", CHUNKED)
           + b"5\r\nhello\r\n0\r\n\r\n", ordinary(b"hello", CHUNKED)),
    passed("with dots", head(POST, b"content.length: 99", b"TRANSFER.ENCODING: chunked", b"Content-Length: 5")
           + b"hello",
           ordinary(b"hello", b"Content-Length: 5")),
    passed("alone", head(GET, b"Content_Length: 40", b"Transfer_Encoding: chunked"), forwarded(GET)),
    passed("followed by a request", head(GET, b"Content_Length: %d" % len(SMUGGLED))
           + b"GET /open/next HTTP/1.1\r\nHost: gw.example\r\n\r\n",
           forwarded(GET), forwarded(b"GET /open/next", anonymous=True)),
)  # fmt: skip
async def test_look_alikes_of_framing_are_dropped(stage, case, run):
    await stage.play(case, run)


# A refused request's body, and what comes behind it.

WRAPPED = b"Content-Length: %d" % len(SMUGGLED)
SMUGGLED_CHUNK = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)


def refusal(
    name: str, sends: bytes, status: int, *, closed: bool | None = None, main: bool = False, asks: bool = False
) -> Case:
    """Refused for what it asks, not for how: its connection may go on, but never with its body."""
    methods = (sends.split(b" ", 1)[0].decode(),)
    return Case(name, sends, Gets((frozenset({status}),), is_closed=closed), is_main=main, asks=asks, methods=methods)


@played(
    refusal("no route", head(b"POST /nowhere", WRAPPED) + SMUGGLED, 404, main=True),
    refusal("no route, chunked", head(b"POST /nowhere", CHUNKED) + SMUGGLED_CHUNK, 404, main=True),
    refusal("no route, GET", head(b"GET /nowhere", WRAPPED) + SMUGGLED, 404),
    refusal("no route, HEAD", head(b"HEAD /nowhere", WRAPPED) + SMUGGLED, 404),
    refusal("bad target", head(b"POST /any/../x", WRAPPED) + SMUGGLED, 400),
    refusal("bad Host", head(POST, WRAPPED, host=b"user@gw.example") + SMUGGLED, 400, closed=True),
    refusal("large", head(POST, b"Content-Length: 99999999999") + SMUGGLED, 413, closed=True, asks=True),
    refusal("expecting", head(b"POST /nowhere", WRAPPED, b"Expect: 100-continue") + SMUGGLED, 404, closed=True),
    refusal("expecting, large", head(POST, b"Content-Length: 99999999999", b"Expect: 100-continue") + SMUGGLED, 413,
            closed=True, asks=True),
    refusal("expecting, chunked", head(b"POST /nowhere", CHUNKED, b"Expect: 100-continue") + SMUGGLED_CHUNK, 404,
            closed=True),
)  # fmt: skip
async def test_a_refused_body_is_never_the_next_request(stage, case, run):
    await stage.play(case, run)


@played(
    refused(
        "behind two lengths", head(POST, b"Content-Length: 5", b"Content-Length: 5") + b"hello" + SMUGGLED, main=True
    ),
    refused("behind a bad line", line(b"X-A : b\r\n") + SMUGGLED),
    refused("behind a bad start", first(b"GET  /any/x HTTP/1.1\r\n") + SMUGGLED),
    refused("behind a bad target", head(b"GET /any/%zz") + SMUGGLED),
    refused("behind no Host", head(GET, host=None) + SMUGGLED),
    refused("behind a bad chunk", chunks(b"+5\r\nhello\r\n0\r\n\r\n") + SMUGGLED),
    refused("behind TRACE", head(b"TRACE /any/x") + SMUGGLED),
    refused("behind an HTTP/1.0 encoding", head(POST, CHUNKED, version=b"HTTP/1.0") + b"0\r\n\r\n" + SMUGGLED),
    refused("many of them", head(GET, host=None) + SMUGGLED * 40),
)
async def test_nothing_behind_a_refused_request_is_served(stage, case, run):
    await stage.play(case, run)


NEXT = b"GET /open/next HTTP/1.1\r\nHost: gw.example\r\n\r\n"
BOTH = (forwarded(b"GET /open/next", anonymous=True),)


@played(
    passed("a GET", head(GET) + NEXT, forwarded(GET), *BOTH, main=True),
    passed("a length", head(POST, b"Content-Length: 5") + b"hello" + NEXT,
           ordinary(b"hello", b"Content-Length: 5"), *BOTH),
    passed("chunks", chunks(b"5\r\nhello\r\n0\r\n\r\n") + NEXT, ordinary(b"hello", CHUNKED), *BOTH),
    passed("trailers", chunks(PLAIN + b"X-T: 1\r\nX-User-Id: root\r\n\r\n") + NEXT, ordinary(b"hello", CHUNKED), *BOTH),
    passed("a GET with a body", head(GET, b"Content-Length: 5") + b"hello" + NEXT,
           forwarded(GET, b"Content-Length: 5", b"Connection: close", body=b"hello"), *BOTH),
)  # fmt: skip
async def test_pipelined_requests_are_each_answered_in_order(stage, case, run):
    await stage.play(case, run)


@played(
    Case("a bad line behind", SMUGGLED.replace(b"smuggled", b"sound") + line(b"X-A : b\r\n"),
         Gets((frozenset({200}), frozenset({400})), is_closed=True),
         (forwarded(b"GET /open/sound", anonymous=True),), methods=("GET", "GET"), is_main=True),
    Case("a bad start behind", SMUGGLED.replace(b"smuggled", b"sound") + first(b"GET  /any/x HTTP/1.1\r\n"),
         Gets((frozenset({200}), frozenset({400})), is_closed=True),
         (forwarded(b"GET /open/sound", anonymous=True),), methods=("GET", "GET")),
    Case("a bad chunk behind", SMUGGLED.replace(b"smuggled", b"sound") + chunks(b"+5\r\nhello\r\n0\r\n\r\n"),
         Gets((frozenset({200}), frozenset({400})), is_closed=True),
         (forwarded(b"GET /open/sound", anonymous=True),), methods=("GET", "GET")),
)  # fmt: skip
async def test_a_sound_request_before_a_refused_one_is_answered(stage, case, run):
    await stage.play(case, run)


def behind(name: str, sound: int, broken: bytes, *, status: int = 400, main: bool = False, piece: int = 1) -> Case:
    """So many sound requests, and then one that is refused."""
    paths = [b"GET /open/%d" % number for number in range(sound)]
    wire = b"".join(head(path).replace(TOKEN, b"") for path in paths)
    gets = Gets((frozenset({200}),) * sound + (frozenset({status}),), is_closed=True)
    seen = tuple(forwarded(path, anonymous=True) for path in paths)
    methods = ("GET",) * (sound + 1)
    return Case(name, wire + broken, gets, seen, methods=methods, is_main=main, piece_bytes=piece)


@played(
    behind("no Host behind one", 1, head(GET, host=None), main=True),
    behind("no Host behind two, and a request", 2, head(GET, host=None) + SMUGGLED, main=True),
    behind("two Hosts", 3, head(GET, b"Host: gw.example") + SMUGGLED),
    behind("two content types", 2, head(GET, b"Content-Type: a/b", b"Content-Type: c/d") + SMUGGLED),
    behind("two lengths", 2, head(POST, b"Content-Length: 5", b"Content-Length: 5") + b"hello" + SMUGGLED),
    behind("both framings", 2, head(POST, b"Content-Length: 5", CHUNKED) + b"0\r\n\r\n" + SMUGGLED),
    behind("an encoding in HTTP/1.0", 2, head(POST, CHUNKED, version=b"HTTP/1.0") + b"0\r\n\r\n" + SMUGGLED),
    behind("an old WebSocket", 2, head(GET, b"Sec-WebSocket-Key1: x") + SMUGGLED),
    behind("CONNECT", 2, head(b"CONNECT gw.example:80") + SMUGGLED),
    behind("PRI", 2, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    behind("HTTP/2.0", 2, head(GET, version=b"HTTP/2.0") + SMUGGLED, status=505),
    behind("a bad target", 2, head(b"GET /any/%zz") + SMUGGLED),
    behind("another scheme", 2, head(b"GET ftp://gw.example/any/x") + SMUGGLED),
    behind("a bad authority", 2, head(b"GET http://[::1/any/x") + SMUGGLED),
    behind("junk", 2, b"\0" + SMUGGLED),
    behind("a bare LF", 40, line(b"X-A: b\nX-B: c\r\n") + SMUGGLED),
    behind("a long target", 2, head(b"GET /any/" + b"a" * 70_000), status=414, piece=997),
)
async def test_what_came_first_is_answered_first(stage, case, run):
    """Whatever finds the fault: the sound requests before it are served, and nothing behind it is."""
    await stage.play(case, run)


@played(
    passed("close", head(GET, b"Connection: close") + SMUGGLED, forwarded(GET), closed=True, main=True),
    passed("close in a list", head(GET, b"Connection: x, CLOSE") + SMUGGLED * 40, forwarded(GET), closed=True),
    passed("close and a body", head(POST, b"Connection: close", b"Content-Length: 5") + b"hello" + SMUGGLED,
           ordinary(b"hello", b"Content-Length: 5"), closed=True),
    passed("close and chunks", head(POST, b"Connection: close", CHUNKED) + b"5\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
           ordinary(b"hello", CHUNKED), closed=True),
    passed("close and junk", head(GET, b"Connection: close") + b"\0\n \r" * 99, forwarded(GET), closed=True),
    passed("close behind another", head(GET) + NEXT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + SMUGGLED,
           forwarded(GET), forwarded(b"GET /open/next", anonymous=True), closed=True, main=True),
    passed("HTTP/1.0", head(GET, version=b"HTTP/1.0") + SMUGGLED, forwarded(GET, via=b"1.0 gateway"), closed=True,
           main=True),
    passed("HTTP/1.0 and a body", head(POST, b"Content-Length: 5", version=b"HTTP/1.0") + b"hello" + SMUGGLED,
           forwarded(POST, b"Content-Length: 5", body=b"hello", via=b"1.0 gateway"), closed=True),
    passed("HTTP/1.0, close and keep-alive",
           head(GET, b"Connection: keep-alive, close", version=b"HTTP/1.0") + SMUGGLED,
           forwarded(GET, via=b"1.0 gateway"), closed=True),
    passed("HTTP/1.0, kept alive", head(GET, b"Connection: keep-alive", version=b"HTTP/1.0") + NEXT,
           forwarded(GET, via=b"1.0 gateway"), *BOTH),
)  # fmt: skip
async def test_nothing_behind_the_last_request_is_read(stage, case, run):
    """RFC 9112 §9.6. It is served, all the same."""
    await stage.play(case, run)


@played(
    passed("alone", head(POST, b"Expect: 100-continue", b"Content-Length: 5") + b"hello",
           ordinary(b"hello", b"Content-Length: 5"), main=True),
    passed("on a GET", head(GET, b"Expect: 100-continue"), forwarded(GET)),
    passed("chunked", head(POST, b"Expect: 100-continue", CHUNKED) + b"5\r\nhello\r\n0\r\n\r\n",
           ordinary(b"hello", CHUNKED)),
    passed("in capitals, then a request", head(POST, b"expect: 100-CONTINUE", b"Content-Length: 5") + b"hello" + NEXT,
           ordinary(b"hello", b"Content-Length: 5"), *BOTH),
    refused("with both framings", head(POST, b"Expect: 100-continue", b"Content-Length: 5", CHUNKED) + SMUGGLED),
    refused("with two lengths", head(POST, b"Expect: 100-continue", b"Content-Length: 5", b"Content-Length: 5")
            + SMUGGLED),
)  # fmt: skip
async def test_an_expectation_changes_no_framing(stage, case, run):
    await stage.play(case, run)


# What never becomes whole.

UNFINISHED = {
    "a terminator and a letter": chunks(PLAIN + b"X"),
    "a terminator": chunks(PLAIN),
    "a trailer": chunks(PLAIN + b"X-T: 1\r\n"),
    "a chunk": chunks(b"5\r\nhel"),
    "a chunk's end": chunks(b"5\r\nhello\r"),
    "a chunk's size": chunks(b"5"),
    "an extension": chunks(b"5;a"),
    "a length": head(POST, b"Content-Length: 5") + b"hel",
    "a head": b"GET /any/x HTTP/1.1\r\nHost: gw.example\r\n",
    "a start": b"GET /any/x HT",
    "an empty line before": b"\r\n",
}


async def test_nobody_waits_past_the_deadline_for_what_never_becomes_whole(backend, provider, routes, lane):
    """And it never reaches the backend as a whole request."""
    text = configuration(
        providers={"p": provider_settings(provider)},
        routes=routes,
        server={"header_timeout": "500ms", "idle_timeout": "1s", **lane_keys(lane)},
    )
    gateway = RunningGateway(text)
    await gateway.start()

    async def play(wire: bytes) -> tuple[list[int], bytes]:
        line = await Line.to(gateway.address)
        try:
            await line.send(wire.replace(TOKEN, b""))
            answers, rest = await line.answers(0, ["GET"], until_ended=True)
        finally:
            line.close()
        return [one.status for one in answers], rest

    seen = len(backend.requests)
    try:
        ends = dict(zip(UNFINISHED, await asyncio.gather(*map(play, UNFINISHED.values())), strict=True))
        await Stage(gateway, backend, provider).canary(0)
    finally:
        await gateway.stop()
    assert ends == dict.fromkeys(UNFINISHED, ([408], b""))
    *begun, _canary = backend.requests[seen:]
    assert not any(one.whole for one in begun)
