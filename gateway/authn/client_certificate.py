"""The thumbprint of a client's certificate as a proxy in front passes it on (RFC 8705 §3.1, RFC 9440). Pure.

The caller sees to it that only trusted proxies are believed. What cannot be read in exactly one way is not a
certificate: the token that is bound to one is then refused.

    rfc9440      `:base64 of the DER:` (RFC 9440 §2.2, a byte sequence of RFC 9651)
    pem_escaped  PEM in percent-encoding, as nginx's `$ssl_client_escaped_cert` and AWS write it
    xfcc         Envoy's `Hash=…;Cert="…"`, of which the last element counts: the nearest proxy wrote it
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Literal
from urllib.parse import unquote_to_bytes

Form = Literal["rfc9440", "pem_escaped", "xfcc"]

_BYTE_SEQUENCE = re.compile(r":([A-Za-z0-9+/]+={0,2}):")
_PEM = re.compile(
    rb"\s*-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END CERTIFICATE-----(?:\s.*)?", re.DOTALL
)
_SHA256_HEX = re.compile(r"[0-9A-Fa-f]{64}")
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ELEMENT = re.compile(rf'(?:[^",]|{_QUOTED})+')
_ELEMENTS = re.compile(rf'(?:[^"]|{_QUOTED})+')
_PAIR = re.compile(rf'([A-Za-z]+)=({_QUOTED}|[^;"]*)(?:;|$)')
_DER_START = b"\x30"


def thumbprint(der: bytes) -> str:
    """What `cnf.x5t#S256` names: SHA-256 of the certificate, in base64url."""
    return _encoded(sha256(der).digest())


def thumbprint_in(values: Sequence[str], form: Form) -> str | None:
    """The thumbprint in the values of all fields of that name; `None` where they are not one certificate."""
    if form == "xfcc":
        return _in_xfcc(",".join(values)) if values else None
    if len(values) != 1:
        return None
    der = _in_byte_sequence(values[0]) if form == "rfc9440" else _in_escaped_pem(values[0])
    return None if der is None else thumbprint(der)


def _in_byte_sequence(value: str) -> bytes | None:
    match = _BYTE_SEQUENCE.fullmatch(value)
    return None if match is None else _decoded(match[1].encode())


def _in_escaped_pem(value: str) -> bytes | None:
    """The first certificate: where there is a chain behind it, that is the client's own."""
    match = _PEM.fullmatch(unquote_to_bytes(value))
    return None if match is None else _decoded(b"".join(match[1].split()))


def _in_xfcc(value: str) -> str | None:
    """Where Envoy appends, the elements before the last one are a client's own text, which may open a quote and leave
    it open: what the proxy wrote would be read as quoted, and parts of the client's name as pairs.
    """
    if not _ELEMENTS.fullmatch(value) or value.endswith(","):
        return None
    pairs = _pairs(_ELEMENT.findall(value)[-1].strip())
    if pairs is None:
        return None
    der = _in_escaped_pem(pairs["cert"]) if "cert" in pairs else None
    named = pairs.get("hash", "")
    by_hash = _encoded(bytes.fromhex(named)) if _SHA256_HEX.fullmatch(named) else None
    by_certificate = None if der is None else thumbprint(der)
    if by_hash is not None and by_certificate is not None and by_hash != by_certificate:
        return None
    return by_hash or by_certificate


def _pairs(element: str) -> dict[str, str] | None:
    """Its pairs by their keys in small letters; `None` for anything between them, and for a certificate named twice."""
    found = list(_PAIR.finditer(element))
    keys = [match[1].lower() for match in found]
    is_whole = "".join(match[0] for match in found) == element
    if not is_whole or keys.count("hash") > 1 or keys.count("cert") > 1:
        return None
    return {key: match[2].strip('"') for key, match in zip(keys, found, strict=True)}


def _decoded(text: bytes) -> bytes | None:
    try:
        der = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return der if der.startswith(_DER_START) else None


def _encoded(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
