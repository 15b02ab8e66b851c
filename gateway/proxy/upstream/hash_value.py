"""What of a request `balance: {hash: KEY}` goes by. It chooses a backend, and nothing is decided by it."""

from __future__ import annotations

from gateway.authn.claims import claim_at
from gateway.config.balance_rule import HashKey
from gateway.decision import Allow


def hash_value(key: HashKey, allow: Allow) -> bytes:
    """The value; empty where the request has none, or one that is neither a text nor a number."""
    context = allow.context
    if key.of == "claim":
        value = None if context.facts is None else claim_at(context.facts.claims, key.name)
        return b"" if isinstance(value, list | dict) or value is None else _as_bytes(str(value))
    if key.of == "address":
        return _as_bytes(context.caller.address)
    lines = context.request.fields.lines
    if key.of == "header":
        return b",".join(_values(lines, key.name[0].lower().encode()))
    return _cookie(_values(lines, b"cookie"), key.name[0].encode())


def _values(lines: list[bytes], wanted: bytes) -> list[bytes]:
    found = (line.partition(b":") for line in lines)
    return [value.strip() for name, _, value in found if name.lower() == wanted]


def _cookie(values: list[bytes], wanted: bytes) -> bytes:
    """The first one of that name (RFC 6265 §4.2)."""
    for value in values:
        for pair in value.split(b";"):
            name, found, content = pair.partition(b"=")
            if found and name.strip() == wanted:
                return content.strip()
    return b""


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
