"""Who is calling, and through which proxies: what `X-Forwarded-*` and `Forwarded` may say, and who may say it.

Trust defaults to nobody. What an untrusted peer says of itself steers nothing and reaches no backend
(GHSA-vhr5-ggp3-qq85, CVE-2026-40575).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network
Pairs = Sequence[tuple[str, str]]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._=+/-]{1,128}")
_PROTO = re.compile(r"https?")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")
# A chain longer than this is no deployment but an attack; what is beyond is not read.
_HOPS_MAX = 32
# The longest text of an IP address: IPv6 with an IPv4 address at its end.
_ADDRESS_MAX_CHARS = 45


@dataclass(frozen=True, slots=True)
class Caller:
    """The client as far as it can be known. `address` is empty where a Unix socket has none."""

    address: str
    peer: str
    trusted: bool
    proto: str
    host: str | None  # X-Forwarded-Host of a trusted peer
    forwarded_for: tuple[str, ...] = ()  # what a trusted peer had received, without the peer itself
    request_id: str | None = None


def read_caller(peer: str, scheme: str, headers: Pairs, trusted: Iterable[Network]) -> Caller:
    """The caller behind the connection from `peer` (an IP address, or empty), whose own scheme is `scheme`."""
    if not trusted or not _is_in(peer, trusted):
        return _stranger(peer, scheme)
    hops = _hops(headers)
    proto = _last(headers, "x-forwarded-proto").lower()
    host = _last(headers, "x-forwarded-host")
    request_ids = [value for name, value in headers if name.lower() == "x-request-id"]
    usable = len(request_ids) == 1 and _REQUEST_ID.fullmatch(request_ids[0])
    return Caller(
        address=_nearest_untrusted(hops, trusted) or peer,
        peer=peer,
        trusted=True,
        proto=proto if _PROTO.fullmatch(proto) else scheme,
        host=host if _HOST.fullmatch(host) else None,
        forwarded_for=tuple(hops),
        request_id=request_ids[0] if usable else None,
    )


@lru_cache(maxsize=1024)
def _stranger(peer: str, scheme: str) -> Caller:
    return Caller(peer, peer, trusted=False, proto=scheme, host=None)


def _hops(headers: Pairs) -> list[str]:
    values = [value for name, value in headers if name.lower() == "x-forwarded-for"]
    return [hop.strip() for hop in ",".join(values).split(",") if hop.strip()][-_HOPS_MAX:]


def _last(headers: Pairs, wanted: str) -> str:
    """The last element of a list header: what the trusted peer itself put there."""
    values = [value for name, value in headers if name.lower() == wanted]
    return values[-1].rpartition(",")[2].strip() if values else ""


def _nearest_untrusted(hops: list[str], trusted: Iterable[Network]) -> str | None:
    """From the right, past our own proxies: the first address that is not one of them."""
    nearest = None
    for hop in reversed(hops):
        address = _address(hop)
        if address is None:
            return nearest
        nearest = str(address)
        if not _is_in(nearest, trusted):
            return nearest
    return nearest


def _is_in(address: str, networks: Iterable[Network]) -> bool:
    parsed = _address(address)
    if parsed is None:
        return False
    for network in networks:  # noqa: SIM110 - asked on every request; `any` takes longer than the rest of it
        if parsed in network:  # never where one is IPv4 and the other IPv6
            return True
    return False


def _address(text: str) -> IPv4Address | IPv6Address | None:
    bare = text.strip("[]").partition("%")[0]
    return _parsed(bare) if len(bare) <= _ADDRESS_MAX_CHARS else None


@lru_cache(maxsize=1024)
def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
