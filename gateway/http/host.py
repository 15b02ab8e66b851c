"""The canonical form of a host, for patterns in the file and for `Host` on the wire.

Two spellings of one address must not lead to two routes. IPv6 is compressed (RFC 5952), and an IPv4 address mapped into
IPv6 is that IPv4 address. IPv4 is accepted only in its plain form: some programs read `0177.0.0.1` as octal and others
as decimal, and `inet_aton` reads `127.1`, `0x7f.1` and `2130706433` as an address where others read a name. A host
whose last label is a number must be an address (WHATWG URL §3.5).
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


def canonical_host(host: str) -> str | None:
    """`host` in lower case without a trailing dot, or an address in canonical form; `None` where it is not a host.

    The caller checks the characters of a name.
    """
    if host.startswith("["):
        return _canonical_ipv6(host)
    host = host.lower().removesuffix(".")
    labels = host.split(".")
    if "" in labels:
        return None
    if not _NUMBER.fullmatch(labels[-1]):
        return host
    try:
        return str(IPv4Address(host))  # takes no leading zeros
    except AddressValueError:
        return None


def _canonical_ipv6(host: str) -> str | None:
    if not host.endswith("]") or "%" in host:
        return None
    try:
        address = IPv6Address(host[1:-1])
    except AddressValueError:
        return None
    mapped = address.ipv4_mapped
    return f"[{address.compressed}]" if mapped is None else str(mapped)
