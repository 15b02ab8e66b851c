"""Finds the network of a client address. One network stands for one subscriber and has one share.

An IPv4 address is a network of its own. An IPv6 address counts by its /64, the least that a subscriber gets (RFC 6177),
and also by its /48, which a site gets: a site with 65,536 networks in one block has no more than the block's share.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

from gateway.http.bounded_memo import BoundedMemo

_NETWORK_BITS = 64
_BLOCK_BITS = 48
_ADDRESS_BITS = 128
_REMEMBERED_MAX = 1024
_REMEMBERED_CHARS = 64  # of an IPv6 address with its zone


class ClientNetwork(NamedTuple):
    """Names a client's network, a /64, and the /48 around it (`block`). Both are equal for IPv4 and for other text."""

    block: str
    network: str


# A question about a token asks for the network of its client several times.
_MEMO: Final = BoundedMemo[str, ClientNetwork](_REMEMBERED_MAX)
_known: Final = _MEMO.known


def client_network(address: str) -> ClientNetwork:
    known = _known.get(address)
    if known is None:
        known = _client_network(address)
        if len(address) <= _REMEMBERED_CHARS:
            _MEMO.keep(address, known)
    return known


def _client_network(address: str) -> ClientNetwork:
    parsed = _parsed(address)
    if not isinstance(parsed, IPv6Address):
        return ClientNetwork(parsed, parsed)
    return ClientNetwork(f"{_first_of(parsed, _BLOCK_BITS)}/{_BLOCK_BITS}", _first_of(parsed, _NETWORK_BITS))


def network_of(address: str) -> str:
    """The network of `address`. Other text, such as the empty text of a Unix socket, is a network of its own."""
    return client_network(address).network


def _parsed(address: str) -> IPv6Address | str:
    """The IPv6 address, or else the text that stands for the network."""
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
