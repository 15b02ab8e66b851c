"""Headers of the PROXY protocol, read byte by byte as far as `more_bytes` asks, and no further."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.proxy_protocol import BrokenProxyHeaderError, more_bytes, read_proxy_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
BEHIND = b"GET / HTTP/1.1\r\n"
FOUR = bytes([203, 0, 113, 7, 127, 0, 0, 1]) + b"\xc0\x00\x1f\x90"
SIX = bytes.fromhex("20010db8000000000000000000000001") * 2 + b"\xc0\x00\x1f\x90"
MAPPED = bytes.fromhex("00000000000000000000ffffcb007107") * 2 + b"\xc0\x00\x1f\x90"
TLVS = b"\x03\x00\x04abcd" + b"\x04\x01\x00" + b"\0" * 256


def v2(rest: bytes, *, command: int = 0x21, family: int = 0x11, size: int | None = None) -> bytes:
    return SIGNATURE + bytes([command, family]) + (len(rest) if size is None else size).to_bytes(2, "big") + rest


def read(wire: bytes, most: int = 10**6) -> tuple[str | None, int]:
    """What it says, and how much of it was taken."""
    header = b""
    while wanted := more_bytes(header):
        piece = wire[len(header) :][: min(wanted, most)]
        if not piece:
            raise EOFError
        header += piece
    return read_proxy_header(header), len(header)


SOUND = {
    "TCP4": (b"PROXY TCP4 203.0.113.7 127.0.0.1 49152 8080\r\n", "203.0.113.7"),
    "TCP4, the shortest": (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n", "1.1.1.1"),
    "TCP6": (b"PROXY TCP6 2001:DB8:0::1 ::1 49152 8080\r\n", "2001:db8::1"),
    "TCP6, the longest": (b"PROXY TCP6 " + b"ffff:" * 7 + b"ffff " + b"ffff:" * 7 + b"ffff 65535 65535\r\n",
                          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    "TCP6, an IPv4 address": (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 1 1\r\n", "203.0.113.7"),
    "UNKNOWN": (b"PROXY UNKNOWN\r\n", None),
    "UNKNOWN and more": (b"PROXY UNKNOWN ffff::1 ffff::1 65535 65535\r\n", None),
    "version 2, IPv4": (v2(FOUR), "203.0.113.7"),
    "version 2, IPv6": (v2(SIX, family=0x21), "2001:db8::1"),
    "version 2, a mapped address": (v2(MAPPED, family=0x21), "203.0.113.7"),
    "version 2, TLVs": (v2(FOUR + TLVS), "203.0.113.7"),
    "version 2, LOCAL": (v2(b"", command=0x20, family=0), None),
    "version 2, LOCAL with an address": (v2(FOUR, command=0x20), None),
    "version 2, unspecified": (v2(b"", family=0), None),
    "version 2, Unix": (v2(b"\0" * 216, family=0x31), None),
    "version 2, UDP": (v2(FOUR, family=0x12), None),
}  # fmt: skip


@pytest.mark.parametrize("most", [1, 2, 7, 10**6])
@pytest.mark.parametrize(("wire", "address"), SOUND.values(), ids=SOUND)
def test_it_tells_the_address_and_takes_nothing_behind(wire, address, most):
    assert read(wire, most) == (address, len(wire))
    assert read(wire + BEHIND, most) == (address, len(wire))


BROKEN = {
    "none": BEHIND,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40,
    "lower case": b"proxy TCP4 203.0.113.7 127.0.0.1 1 1\r\n",
    "another protocol": b"PROXY UDP4 203.0.113.7 127.0.0.1 1 1\r\n",
    "a bare LF": b"PROXY TCP4 203.0.113.7 127.0.0.1 1 1\n\r\n",
    "two blanks": b"PROXY TCP4  203.0.113.7 127.0.0.1 1 1\r\n",
    "the other family": b"PROXY TCP4 2001:db8::1 ::1 1 1\r\n",
    "one of the other family": b"PROXY TCP6 2001:db8::1 127.0.0.1 1 1\r\n",
    "no address": b"PROXY TCP4 203.0.113.777 127.0.0.1 1 1\r\n",
    "leading noughts": b"PROXY TCP4 203.0.113.007 127.0.0.1 1 1\r\n",
    "a zone": b"PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n",
    "a port too high": b"PROXY TCP4 203.0.113.7 127.0.0.1 65536 1\r\n",
    "no port": b"PROXY TCP4 203.0.113.7 127.0.0.1\r\n",
    "more words": b"PROXY TCP4 203.0.113.7 127.0.0.1 1 1 1\r\n",
    "no end": b"PROXY UNKNOWN " + b"a" * 200,
    "a control": b"PROXY UNKNOWN \0\r\n",
    "version 3": v2(FOUR, command=0x31),
    "another command": v2(FOUR, command=0x22),
    "another family": v2(FOUR, family=0x41),
    "too short for its family": v2(FOUR[:11]),
    "too short for IPv6": v2(FOUR, family=0x21),
    "too long": v2(b"", size=65535) + b"\0" * 65535,
    "a signature that breaks": SIGNATURE[:-1] + b"\r" + v2(FOUR)[12:],
}


@pytest.mark.parametrize("most", [1, 7, 10**6])
@pytest.mark.parametrize("wire", BROKEN.values(), ids=BROKEN)
def test_what_is_no_header_is_refused(wire, most):
    with pytest.raises(BrokenProxyHeaderError):
        read(wire, most)


@given(st.binary(max_size=200))
def test_whatever_comes_ends_in_an_address_or_a_refusal(wire):
    try:
        address, taken = read(wire)
    except (BrokenProxyHeaderError, EOFError):
        return
    assert taken <= len(wire)
    assert address is None or address
