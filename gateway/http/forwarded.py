"""Finds out who is calling, and through which proxies, from `X-Forwarded-*` and `Forwarded`.

By default the gateway trusts nobody. The claims of an untrusted peer about itself have no effect and reach no backend
(GHSA-vhr5-ggp3-qq85, CVE-2026-40575). A trusted proxy is believed in the fields that this module reads, as far as it
wrote them itself. Proxies append to the client's field, so a chain is read from its end and counts as far as the
trusted proxies in it reach. If both kinds of field came, only `X-Forwarded-*` counts: a proxy that writes one of them
often passes the other on as the client wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from gateway.http.bounded_memo import BoundedMemo
from gateway.http.forwarded_field import read_forwarded
from gateway.http.target import path_problem, read_authority

Network = IPv4Network | IPv6Network
Pairs = Sequence[tuple[str, str]]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._=+/-]{1,128}")
_PROTO = re.compile(r"https?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_PORT_MAX = 65535
_HAS_PORT = re.compile(r":[0-9]+$")
_DEFAULT_PORT = {"http": "80", "https": "443"}
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,=:@-]+)+/?")
_PREFIX_MAX_CHARS = 1024
# An address as balancers write it: bare, with a port (Azure, IIS), in brackets, with a zone.
_NODE = re.compile(
    r"""\[([0-9A-Fa-f:.]{2,45})(?:%[^\]]{0,32})?\](?::[0-9]{1,5})?|([0-9.]{7,15})(?::[0-9]{1,5})?|"""
    r"""([0-9A-Fa-f:.]{2,45})(?:%.{0,32})?"""
)
_NODE_MAX_CHARS = 96
# A longer chain is an attack and not a deployment; the rest of it is not read.
_HOPS_MAX = 32
_STRANGERS_MAX: Final = 1024
_CHAIN_FIELDS = frozenset({"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"})


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Says which peers are trusted: the networks and, with `unix`, every peer on the Unix socket.

    With `every_peer` each peer is trusted, but in what it tells only the networks are.
    """

    networks: tuple[Network, ...] = ()
    unix: bool = False
    every_peer: bool = False

    @property
    def are_none(self) -> bool:
        return not (self.networks or self.unix or self.every_peer)

    def has_peer(self, peer: str) -> bool:
        """`peer` is an address, or empty for a Unix socket."""
        if self.every_peer:
            return True
        if not peer:
            return self.unix
        # The system gives a peer as a bare address, or as one with a zone.
        return bool(self.networks) and self.has(_parsed(peer) or _address(peer))

    def has(self, address: IPv4Address | IPv6Address | None) -> bool:
        if address is None:
            return False
        for network in self.networks:  # noqa: SIM110 - asked on every request; `any` takes longer than the rest of it
            if address in network:  # never where one is IPv4 and the other IPv6
                return True
        return False


NOBODY_TRUSTED: Final = TrustedProxies()


class ToldLines:
    """Holds `lines`, each with its end, and what they were made by."""

    __slots__ = ("authority", "lines", "rules", "stripped", "version")

    def __init__(self, rules: object, authority: str, stripped: str, version: tuple[int, int], lines: bytes) -> None:
        self.rules = rules
        self.authority = authority
        self.stripped = stripped
        self.version = version
        self.lines = lines


class Caller:
    """Holds what is known about the client. `address` is empty where a Unix socket has none.

    `host` is the one that a trusted peer was asked for. `forwarded_for` holds the client and our proxies behind it,
    without the peer itself. `port` and `prefix` are X-Forwarded-Port and X-Forwarded-Prefix of a trusted peer; the
    prefix has no slash at its end. `told` are the lines that tell a backend of this caller, as they were last made:
    `gateway.http.headers` makes and reuses them.
    """

    __slots__ = (
        "address",
        "forwarded_for",
        "host",
        "peer",
        "port",
        "prefix",
        "proto",
        "request_id",
        "told",
        "trusted",
    )

    def __init__(
        self,
        address: str,
        peer: str,
        *,
        trusted: bool,
        proto: str,
        host: str | None,
        forwarded_for: tuple[str, ...] = (),
        request_id: str | None = None,
        port: str = "",
        prefix: str = "",
    ) -> None:
        self.address = address
        self.peer = peer
        self.trusted = trusted
        self.proto = proto
        self.host = host
        self.forwarded_for = forwarded_for
        self.request_id = request_id
        self.port = port
        self.prefix = prefix
        self.told: ToldLines | None = None

    @property
    def authority(self) -> str:
        """The host that a trusted peer was asked for, with its port unless that is the scheme's; may be empty."""
        host = self.host or ""
        has_port = not self.port or self.port == _DEFAULT_PORT[self.proto] or _HAS_PORT.search(host)
        return host if not host or has_port else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class _Said:
    """Holds the fields of a trusted peer, unchecked."""

    hops: tuple[str, ...]
    proto: str
    host: str


def read_caller(peer: str, scheme: str, headers: Pairs, trusted: TrustedProxies) -> Caller:
    """Find the caller behind the connection from `peer` (an IP address, or empty). The connection has `scheme`."""
    if trusted is NOBODY_TRUSTED or not trusted.has_peer(peer):
        caller = _known_strangers.get((peer, scheme))
        return _stranger(peer, scheme) if caller is None else caller
    fields = _by_name(headers)
    # `isdisjoint`: compiled, `frozenset & keys()` must come out as a frozenset, and it is a set.
    has_chain = not _CHAIN_FIELDS.isdisjoint(fields)
    said = _x_forwarded(fields) if has_chain else _forwarded(fields.get("forwarded", ()), trusted)
    chain = _believed(said.hops, trusted)
    request_ids = fields.get("x-request-id", ())
    proto, host = said.proto.lower(), read_authority(said.host)
    return Caller(
        address=chain[0] if chain else peer,
        peer=peer,
        trusted=True,
        proto=proto if _PROTO.fullmatch(proto) else scheme,
        host=None if host is None else host.text,
        forwarded_for=chain,
        request_id=request_ids[0] if len(request_ids) == 1 and _REQUEST_ID.fullmatch(request_ids[0]) else None,
        port=_sound_port(_last(fields, "x-forwarded-port")),
        prefix=_sound_prefix(fields.get("x-forwarded-prefix", ())),
    )


_STRANGERS: Final = BoundedMemo[tuple[str, str], Caller](_STRANGERS_MAX)
_known_strangers: Final = _STRANGERS.known


def _stranger(peer: str, scheme: str) -> Caller:
    caller = Caller(peer, peer, trusted=False, proto=scheme, host=None)
    _STRANGERS.keep((peer, scheme), caller)
    return caller


def _by_name(headers: Pairs) -> Mapping[str, list[str]]:
    """The fields that this module reads, in the one spelling that counts."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        lower = name.lower()
        if lower.startswith("x-forwarded-") or lower in {"forwarded", "x-request-id"}:
            found.setdefault(lower, []).append(value)
    return found


def _x_forwarded(fields: Mapping[str, list[str]]) -> _Said:
    written = ",".join(fields.get("x-forwarded-for", ())).rsplit(",", _HOPS_MAX)[-_HOPS_MAX:]
    hops = tuple(hop for each in written if (hop := each.strip(" \t")))
    return _Said(hops, _last(fields, "x-forwarded-proto"), _last(fields, "x-forwarded-host"))


def _last(fields: Mapping[str, list[str]], wanted: str) -> str:
    """The last element of a list field: the one that the trusted peer itself wrote."""
    values = fields.get(wanted)
    return values[-1].rpartition(",")[2].strip(" \t") if values else ""


def _forwarded(values: Sequence[str], trusted: TrustedProxies) -> _Said:
    """Read `Forwarded`. The last element is the peer's own. The one before it counts if our own proxy called the peer.

    Scheme and host come from the believed element that is nearest to the client.
    """
    elements = read_forwarded(values, _HOPS_MAX)
    proto = host = ""
    for element in reversed(elements):
        proto = element.get("proto", proto)
        host = element.get("host", host)
        if not trusted.has(_address(element.get("for", ""))):
            break
    # A missing address ends the chain, as `unknown` and obfuscated names do.
    return _Said(tuple(element.get("for", "unknown") for element in elements), proto, host)


def _believed(hops: Sequence[str], trusted: TrustedProxies) -> tuple[str, ...]:
    """Read from the right, past our own proxies, to the first address that is not one of them; in canonical form."""
    chain: list[str] = []
    for hop in reversed(hops):
        address = _address(hop)
        if address is None:
            break
        chain.append(str(address))
        if not trusted.has(address):
            break
    return tuple(reversed(chain))


def _sound_port(text: str) -> str:
    return text if _PORT.fullmatch(text) and int(text) <= _PORT_MAX else ""


def _sound_prefix(values: Sequence[str]) -> str:
    """Check that a prefix is one path of plain segments, because backends put it before the links they make."""
    if len(values) != 1 or len(values[0]) > _PREFIX_MAX_CHARS or not _PREFIX.fullmatch(values[0]):
        return ""
    return "" if path_problem(values[0]) else values[0].removesuffix("/")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Parse an address in the forms that balancers send; `None` for a name, `unknown` and anything else."""
    found = _NODE.fullmatch(text.strip('"')) if len(text) <= _NODE_MAX_CHARS else None
    return None if found is None else _parsed(found[1] or found[2] or found[3])


@lru_cache(maxsize=1024)
def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
