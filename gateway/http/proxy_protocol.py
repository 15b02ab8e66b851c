"""The header by which a balancer tells, before the first byte of a client, whose connection it passes on.

PROXY protocol, versions 1 and 2 (haproxy.org, doc/proxy-protocol.txt). Pure: `more_bytes` says how many bytes to read
next, so that nothing behind the header is ever taken, and `read_proxy_header` what a whole header says. TLVs, also one
with a checksum, are passed over: they come from a peer that is trusted, over a connection that has its own.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_V1_BEGINNING = b"PROXY "
_V1_MAX_BYTES = 107
_V1 = re.compile(
    rb"PROXY (?:UNKNOWN(?: [ -~]*)?|"
    rb"(TCP4|TCP6) ([0-9A-Fa-f:.]{2,45}) ([0-9A-Fa-f:.]{2,45}) ([0-9]{1,5}) ([0-9]{1,5}))\r\n"
)
_PORT_MAX = 65535
_LEAST_BYTES = len(b"PROXY UNKNOWN\r\n")  # and fewer than any of version 2 has
_V2_FIXED_BYTES = 16
# 216 for addresses, and some KiB for TLVs (of certificates): what is longer is no header.
_V2_MAX_BYTES = 4096
_V2_LOCAL, _V2_PROXY = 0x20, 0x21
# By family and protocol, how long the source address is, and how long what stands there at least: TCP alone.
_V2_ADDRESS_BYTES = {0x11: (4, 12), 0x21: (16, 36)}
_V2_OTHERS = frozenset({0x00, 0x12, 0x22, 0x31, 0x32})


class BrokenProxyHeaderError(Exception):
    """What came is no header of the PROXY protocol."""


def more_bytes(header: bytes) -> int:
    """How many bytes are known to be still missing; 0 where the header is whole. Raises `BrokenProxyHeaderError`."""
    if len(header) < _LEAST_BYTES:
        return _LEAST_BYTES - len(header)
    if header.startswith(_SIGNATURE):
        return (_V2_FIXED_BYTES if len(header) < _V2_FIXED_BYTES else _v2_bytes(header)) - len(header)
    if not header.startswith(_V1_BEGINNING) or len(header) > _V1_MAX_BYTES:
        raise BrokenProxyHeaderError
    if header.endswith(b"\r\n"):
        return 0
    return 1  # where a line ends is known with its last byte


def read_proxy_header(header: bytes) -> str | None:
    """The client's address in canonical form; `None` where the connection is the balancer's own, or nobody knows.

    `header` is whole. Raises `BrokenProxyHeaderError`.
    """
    return _read_v2(header) if header.startswith(_SIGNATURE) else _read_v1(header)


def _v2_bytes(header: bytes) -> int:
    size = _V2_FIXED_BYTES + int.from_bytes(header[14:16], "big")
    if size > _V2_MAX_BYTES or header[12] not in {_V2_LOCAL, _V2_PROXY}:
        raise BrokenProxyHeaderError
    return size


def _read_v2(header: bytes) -> str | None:
    if header[12] == _V2_LOCAL:
        return None
    size, least = _V2_ADDRESS_BYTES.get(header[13], (0, 0))
    if not size:
        if header[13] in _V2_OTHERS:
            return None  # UDP, Unix sockets and what is not specified
        raise BrokenProxyHeaderError
    addresses = header[_V2_FIXED_BYTES:]
    if len(addresses) < least:
        raise BrokenProxyHeaderError
    return _canonical(ip_address(addresses[:size]))


def _read_v1(header: bytes) -> str | None:
    found = _V1.fullmatch(header)
    if found is None:
        raise BrokenProxyHeaderError
    if found[1] is None:
        return None
    try:
        source, target = ip_address(found[2].decode()), ip_address(found[3].decode())
    except ValueError:
        raise BrokenProxyHeaderError from None
    version = 4 if found[1] == b"TCP4" else 6
    if source.version != version or target.version != version or max(int(found[4]), int(found[5])) > _PORT_MAX:
        raise BrokenProxyHeaderError
    return _canonical(source)


def _canonical(address: IPv4Address | IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
