"""Reads the PROXY protocol's header, by which a balancer names the client before the client's first byte.

Versions 1 and 2 are supported (haproxy.org, doc/proxy-protocol.txt). Pure: `more_bytes` says how many bytes to read
next, so that no byte behind the header is read, and `read_proxy_header` reads a complete header. TLVs, even one with a
checksum, are ignored: the peer is trusted, and TCP has a checksum of its own.
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
_LEAST_BYTES = len(b"PROXY UNKNOWN\r\n")  # fewer than any header of version 2 has
_V2_FIXED_BYTES = 16
# 216 bytes for addresses, and some KiB for TLVs (of certificates). A longer header is refused.
_V2_MAX_BYTES = 4096
_V2_LOCAL, _V2_PROXY = 0x20, 0x21
# Family and protocol -> the length of the source address, and the least length of all addresses. Only TCP.
_V2_ADDRESS_BYTES = {0x11: (4, 12), 0x21: (16, 36)}
_V2_OTHERS = frozenset({0x00, 0x12, 0x22, 0x31, 0x32})


class BrokenProxyHeaderError(Exception):
    """Says that the bytes are not a header of the PROXY protocol."""


def more_bytes(header: bytes) -> int:
    """How many bytes are missing at least; 0 for a complete header. Raises `BrokenProxyHeaderError`."""
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
    """The client's address in canonical form; `None` where the connection is the balancer's own, or of unknown origin.

    `header` is complete. Raises `BrokenProxyHeaderError`.
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
            return None  # UDP, Unix sockets and unspecified families
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
