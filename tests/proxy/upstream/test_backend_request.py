"""A request to a backend as a value: HTTP/1.1 renders it, and another protocol could."""

import pytest

from gateway.proxy.upstream.backend_request import NO_BODY, UNKNOWN_LENGTH, WEBSOCKET, BackendRequest, BodyFraming
from gateway.proxy.upstream.http1_request import body_end, body_piece, is_last, rendered

START = b"%b /a?b=c HTTP/1.1\r\nHost: one.example:81\r\nX-A: 1\r\nX-B: \xff\r\n"


FIELDS = b"X-A: 1\r\nX-B: \xff\r\n"


def asked(method: str, framing: BodyFraming) -> BackendRequest:
    return BackendRequest(method, "one.example:81", "/a?b=c", framing)


RENDERED = {
    "no body": ("GET", NO_BODY, b"", b""),
    "a body": ("POST", BodyFraming(2), b"hi", b"Content-Length: 2\r\n"),
    "an empty body": ("POST", BodyFraming(0), b"", b"Content-Length: 0\r\n"),
    "a body in pieces": ("PUT", BodyFraming(7), None, b"Content-Length: 7\r\n"),
    "chunks": ("PATCH", UNKNOWN_LENGTH, None, b"Transfer-Encoding: chunked\r\n"),
    "a body that may not be read": ("GET", BodyFraming(2), b"hi", b"Content-Length: 2\r\nConnection: close\r\n"),
    "no bytes that may not be read": ("DELETE", BodyFraming(0), b"", b"Content-Length: 0\r\n"),
    "chunks that may not be read": (
        "OPTIONS", UNKNOWN_LENGTH, None, b"Transfer-Encoding: chunked\r\nConnection: close\r\n"
    ),
    "another protocol": ("GET", WEBSOCKET, b"", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", RENDERED)
def test_the_words_of_http_1_1_frame_what_follows_the_head(name):
    method, framing, body, lines = RENDERED[name]
    request = asked(method, framing)
    assert rendered(request, FIELDS, body) == START % method.encode() + lines + b"\r\n" + (body or b"")
    assert is_last(request) == (b"Connection: close" in lines)


@pytest.mark.parametrize(
    ("framing", "piece", "end"), [(UNKNOWN_LENGTH, b"3\r\nabc\r\n", b"0\r\n\r\n"), (BodyFraming(3), b"abc", b"")]
)
def test_a_body_in_pieces_is_chunked_where_its_length_is_unknown(framing, piece, end):
    request = asked("POST", framing)
    assert (body_piece(request, b"abc"), body_end(request)) == (piece, end)


def in_http_2(request: BackendRequest) -> list[tuple[bytes, bytes]]:
    """RFC 9113 §8.3.1, RFC 8441 §4."""
    method, protocol = (b"CONNECT", [b"websocket"]) if request.framing.is_upgrade else (request.method.encode(), [])
    pairs = [(b":method", method), *((b":protocol", one) for one in protocol), (b":scheme", b"http")]
    pairs += [(b":authority", request.authority.encode()), (b":path", request.target.encode())]
    for line in FIELDS.splitlines():
        name, _, value = line.partition(b": ")
        pairs.append((name.lower(), value))
    if request.framing.length is not None:
        pairs.append((b"content-length", b"%d" % request.framing.length))
    return pairs


def test_the_value_says_all_that_another_protocol_needs_and_nothing_that_it_may_not_have():
    own = [(b":scheme", b"http"), (b":authority", b"one.example:81"), (b":path", b"/a?b=c")]
    fields = [(b"x-a", b"1"), (b"x-b", b"\xff")]
    assert in_http_2(asked("GET", BodyFraming(2))) == [
        (b":method", b"GET"), *own, *fields, (b"content-length", b"2")
    ]  # fmt: skip
    assert in_http_2(asked("GET", WEBSOCKET)) == [
        (b":method", b"CONNECT"), (b":protocol", b"websocket"), *own, *fields
    ]  # fmt: skip
    assert in_http_2(asked("POST", UNKNOWN_LENGTH)) == [(b":method", b"POST"), *own, *fields]
