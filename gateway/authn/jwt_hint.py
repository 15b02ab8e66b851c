"""What a token that looks like a JWT says of itself, unverified: for choosing whom to ask, or that nobody need be.

Nothing is ever accepted by it. RFC 7519 §3: three base64url parts, of which the middle one is a JSON object; what is
not exactly that is an opaque token, and the provider's to judge.

Anybody can send such a token, and nobody has been charged for it yet. So the work is bounded, whatever was sent:

- Only the first `_BYTES_MAX` bytes of a part are decoded. A claim that stands behind them is not there.
- A part that ends within them is read as a whole, by the parser that is written in C, and calls nothing for each
  object. No name is interned.
- Of a longer part, and where a claim may stand twice, `_TOKENS_MAX` JSON tokens are looked at.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from gateway.authn.bearer import Token

_PARTS = 3
# Clocks differ. A token that may be good by the provider's is asked about, and its word counts without any leeway.
_CLOCKS_APART_S = 60
# 9999-12-31, as in answers; what is older than the year 1 is no time either.
_TIME_MAX_S = 253_402_300_799
# Keycloak, Entra ID, Okta, Auth0 and Hydra name `iss` and `exp` within the first few hundred bytes.
_BYTES_MAX = 4 * 2**10
_TOKENS_MAX = 256
_SHOWN_MAX_CHARS = 80
_CHARS_MAX = -(-_BYTES_MAX // 3) * 4
_TOKEN = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*+"|[{}\[\]:,]|[^ \t\r\n"{}\[\]:,]++)', re.DOTALL)


def unverified_issuer(token: Token) -> str | None:
    """The `iss` of a JWT's payload; `None` for an opaque token and for a JWT that names nobody."""
    issuer = _members(token, 1, "iss").get("iss")
    return issuer if isinstance(issuer, str) else None


def cannot_be_valid(token: Token, issuer: str | None, now: float) -> str | None:
    """Why no answer could make `token` good at `now` (wall clock), in words; `None` where it must be asked about.

    `issuer` is the one whose tokens count, `None` where any does.
    """
    payload = _members(token, 1, "iss", "exp")
    exp, named = payload.get("exp"), payload.get("iss")
    if _is_time(exp) and exp <= now - _CLOCKS_APART_S:
        return "it has expired by its own exp"
    if issuer is not None and isinstance(named, str) and named != issuer:
        return "it is from another issuer by its own iss"
    return None


def own_words(token: Token, issuer: str | None, client_id: str, now: float) -> list[str]:
    """What a JWT that a provider calls inactive says of itself, for an operator. Empty for an opaque token."""
    payload = _members(token, 1, "iss", "exp", "aud", "azp")
    exp, named, audience = payload.get("exp"), payload.get("iss"), payload.get("aud")
    if not _is_time(exp) or not isinstance(named, str):
        return []
    ends = f"is good for {exp - now:.0f} s more" if exp > now else f"ended {now - exp:.0f} s ago"
    whose = "of this issuer" if named == issuer else f"of {named[:_SHOWN_MAX_CHARS]}"
    audiences = [one for one in (audience if isinstance(audience, list) else [audience]) if isinstance(one, str)]
    shown = ", ".join(audiences)[:_SHOWN_MAX_CHARS]
    words = [f"by its own word, unverified, the token {ends}, is {whose}, and its aud is [{shown}]"]
    if exp > now and named == issuer and client_id not in audiences:
        words.append(
            f"Keycloak calls a token inactive when the client that asks is not in its aud: add {client_id} to it, with "
            "an audience mapper of the caller's client or its scope"
        )
    return words


def header_type(token: Token) -> str | None:
    """The `typ` of a JWT's header, in small letters and without `application/` (RFC 7515 §4.1.9)."""
    typ = _members(token, 0, "typ").get("typ")
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else None


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _TIME_MAX_S


def _members(token: Token, part: int, *names: str) -> Mapping[str, Any]:
    """Those of `names` that can be told of the object in a part of a JWT; none for an opaque token."""
    value = token.value
    if value.count(".") != _PARTS - 1:
        return {}
    text = value.split(".")[part]
    is_whole = len(text) <= _CHARS_MAX
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4) if is_whole else text[:_CHARS_MAX])
    except (binascii.Error, ValueError):
        return {}
    sought = {f'"{name}"'.encode(): name for name in names}
    if is_whole and all(data.count(quoted) <= 1 for quoted in sought):
        return _whole(data)
    return _beginning(data, sought)


def _whole(data: bytes) -> Mapping[str, Any]:
    value = _value(data)
    return value if isinstance(value, dict) else {}


def _beginning(data: bytes, sought: Mapping[bytes, str]) -> dict[str, Any]:
    """The scalars that the object has under `sought`, as far as it is looked at; none that stands there twice."""
    found: dict[str, Any] = {}
    twice: set[str] = set()
    name: bytes | None = None
    value: bytes | None = None
    position = depth = 0
    for _ in range(_TOKENS_MAX):
        match = _TOKEN.match(data, position)
        if match is None or (depth == 0 and match[1] != b"{"):
            break
        position, token = match.end(), match[1]
        if token in b"{[":
            depth += 1
        elif depth > 1:
            depth -= token in b"}]"
        elif token in b"}],":
            # Only now is it sure that a number is whole.
            if name is not None and value is not None and (known := sought.get(name)):
                if known in found:
                    twice.add(known)
                found[known] = _value(value)
            name = value = None
            depth -= token in b"}]"
        elif name is None:
            name = token
        elif token != b":":
            value = token
    return {known: said for known, said in found.items() if known not in twice}


def _value(data: bytes) -> Any:
    """`None` for what is no JSON."""
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError):
        return None
