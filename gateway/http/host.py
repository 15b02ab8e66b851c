"""The one canonical form of a host, for the file's patterns and the wire's `Host` alike.

Two spellings of one address must not lead to two routes. IPv6 is compressed (RFC 5952), and an IPv4 address mapped into
it is that IPv4 address. Of IPv4 only the plain form is taken: `0177.0.0.1` is read as octal by some and as decimal by
others, and `127.1`, `0x7f.1` and `2130706433` are read as an address by `inet_aton` and as a name by the rest. A host
whose last label is a number is an address or nothing (WHATWG URL §3.5).
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


def canonical_host(host: str) -> str | None:
    """`host` in lower case, without a trailing dot, an address in canonical form; `None` where it is none.

    The characters of a name are for the caller to check.
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
