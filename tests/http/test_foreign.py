"""What a server speaks that does not answer with HTTP/1.1."""

import pytest

from gateway.http.foreign import foreign_words

HTTPS = "it answered with TLS; write https://"
CASES = {
    b"SSH-2.0-OpenSSH_9.2\r\n": "it does not speak HTTP: SSH-2.0-OpenSSH_9.2",
    b"220 smtp.example.com ESMTP\r\n250 more": "it does not speak HTTP: 220 smtp.example.com ESMTP",
    b"-ERR unknown command\r\n": "it does not speak HTTP: -ERR unknown command",
    b"J\0\0\0\n8.0.36\0": r"it does not speak HTTP: J\\x00\\x00\\x00",
    b"\x1b[2J\xff": r"it does not speak HTTP: \x1b[2J\\xff",
    b"S": "it does not speak HTTP: S",
    b"\r\n\r\n": "it does not speak HTTP: an empty line",
    b"http/1.1 200 OK": "it does not speak HTTP: http/1.1 200 OK",
    b"a" * 500: "it does not speak HTTP: " + "a" * 60,
    b"HTTP/2.0 200 OK\r\n": "it speaks another version of HTTP: HTTP/2.0 200 OK",
    b"HTTP/2": "it speaks another version of HTTP: HTTP/2",
    b"\0\0\x12\x04\0\0\0\0\0": "it speaks HTTP/2 alone; name a port that speaks HTTP/1.1",
    b"\x15": HTTPS,
    b"\x15\x03\x01\0\x02\x02\x16": HTTPS,
    b"\x16\x03\x03\0\x7a": HTTPS,
}


@pytest.mark.parametrize("first", CASES)
def test_it_is_named(first):
    words = foreign_words(first)
    assert words is not None
    assert words.isprintable()
    if first.startswith((b"J", b"\x1b")):
        assert words.startswith("it does not speak HTTP: ")
    else:
        assert words == CASES[first]


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0", b"HTTP/1.", b"H", b"HTTP/", b""])
def test_what_may_still_be_http_is_waited_for(first):
    assert foreign_words(first) is None
