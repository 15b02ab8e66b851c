"""Which network a client address belongs to: what one subscriber gets, and so what one share is for.

An address of IPv4 is a network of its own. An address of IPv6 counts by its /64, which is what a subscriber gets at
least (RFC 6177), and beyond that by its /48, which is what a site gets: whoever has 65,536 networks in one block has
no more than the block's share.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

_NETWORK_BITS = 64
_BLOCK_BITS = 48
_ADDRESS_BITS = 128


class ClientNetwork(NamedTuple):
    """`block` is the /48 that `network`, a /64, lies in; for IPv4, and for text that is no address, both are equal."""

    block: str
    network: str


def client_network(address: str) -> ClientNetwork:
    parsed = _parsed(address)
    if not isinstance(parsed, IPv6Address):
        return ClientNetwork(parsed, parsed)
    return ClientNetwork(f"{_first_of(parsed, _BLOCK_BITS)}/{_BLOCK_BITS}", _first_of(parsed, _NETWORK_BITS))


def network_of(address: str) -> str:
    """What an address counts as; text that is none, as the empty one of a Unix socket, counts as itself."""
    return client_network(address).network


def _parsed(address: str) -> IPv6Address | str:
    """The address of IPv6, else the text that stands for its network."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return parsed if parsed.ipv4_mapped is None else str(parsed.ipv4_mapped)


def _first_of(address: IPv6Address, prefix_bits: int) -> str:
    rest = _ADDRESS_BITS - prefix_bits
    return str(IPv6Address(int(address) >> rest << rest))
