import pytest

from gateway.http.head_fault import head_fault

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        (b"\x16\x03\x01\x02\x00", "this is TLS, and the listener speaks plain HTTP; set server.tls, or use http://"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "this is HTTP/2, and HTTP/1.1 is spoken here"),
        (b"GET  /x HTTP/1.1\r\n\r\n", "the request line is not METHOD TARGET HTTP/1.1 with one blank between them"),
        (b"hello\r\n\r\n", "the request line is not METHOD TARGET HTTP/1.1 with one blank between them"),
        (b"GET /x HTTP/1.1\nHost: a\n\n", "line 1 ends with LF, CR LF wanted"),
        (GET + b"A: b\n\r\n", "line 3 ends with LF, CR LF wanted"),
        (GET + b"A: \x01t0k3n\r\n\r\n", "line 3 has the control character 0x01"),
        (GET + b"A: b\rc\r\n\r\n", "line 3 has a CR without LF"),
        (GET + b"Authorization : Bearer t0k3n\r\n\r\n", "line 3 has a blank before its colon"),
        (GET + b" t0k3n: b\r\n\r\n", "line 3 begins with a blank, as no field may"),
        (GET + b"t0k3n\r\n\r\n", "line 3 has no colon"),
        (GET + b"t0k3n(): b\r\n\r\n", "line 3 has a character before its colon that no field's name has"),
    ],
)
def test_what_is_wrong_is_said_without_what_stood_there(head, fault):
    assert head_fault(head) == fault


@pytest.mark.parametrize("head", [b"", b"\r\n", b"\r\n\r\n", b"\x00" * 100_000, GET + b"\r\n", b"\xff" * 300_000])
def test_every_head_has_a_bounded_printable_fault(head):
    assert head_fault(head).isprintable()
    assert len(head_fault(head)) < 200
