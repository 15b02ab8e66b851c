"""Reads unverified claims of a token that looks like a JWT, to choose a provider or to see that none need be asked.

Nothing is ever accepted by them. A JWT has three base64url parts, and the middle one is a JSON object (RFC 7519 §3).
Any other token is opaque, and only the provider can judge it.

Anybody can send such a token, and nobody has been charged for it yet. So the work is bounded, whatever was sent:

- Only the first `_BYTES_MAX` bytes of a part are decoded. A claim behind them counts as absent.
- A part that ends within them is parsed as a whole, by the parser written in C, with no call for each object. No name
  is interned.
- Of a longer part, and where a claim may stand twice, only `_TOKENS_MAX` JSON tokens are read.
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
# Clocks differ. A token that may be valid by the provider's clock is introspected; the result then gets no leeway.
CLOCKS_APART_S = 60.0
# 9999-12-31, as in results. A number before the year 1 is not a time either.
_TIME_MAX_S = 253_402_300_799
# Keycloak, Entra ID, Okta, Auth0 and Hydra name `iss` and `exp` within the first few hundred bytes.
_BYTES_MAX = 4 * 2**10
_TOKENS_MAX = 256
_SHOWN_MAX_CHARS = 80
_CHARS_MAX = -(-_BYTES_MAX // 3) * 4
_TOKEN = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*+"|[{}\[\]:,]|[^ \t\r\n"{}\[\]:,]++)', re.DOTALL)


def unverified_issuer(token: Token) -> str | None:
    """The `iss` of a JWT's payload; `None` for an opaque token and for a JWT without `iss`. A token is read once."""
    if not token.is_read:
        issuer = _read_members(token, 1, "iss").get("iss")
        token.named_issuer, token.is_read = issuer if isinstance(issuer, str) else None, True
    return token.named_issuer


def unverified_end(token: Token) -> float | None:
    """The `exp` of a JWT's payload; `None` for an opaque token and for a JWT without a sound one."""
    exp = _read_members(token, 1, "exp").get("exp")
    return exp if _is_time(exp) else None


def cannot_be_valid(
    token: Token, issuer: str | None, now: float, *, clocks_apart_s: float = CLOCKS_APART_S
) -> str | None:
    """Why no result could make `token` valid at `now` (wall clock), in words; `None`: it has to be introspected.

    Only tokens of `issuer` count; with `None` those of any issuer do. Where our own clock judges `exp`, and not the
    provider's, `clocks_apart_s` is 0.
    """
    payload = _read_members(token, 1, "iss", "exp")
    exp, named = payload.get("exp"), payload.get("iss")
    if _is_time(exp) and exp <= now - clocks_apart_s:
        return "it has expired by its own exp"
    if issuer is not None and isinstance(named, str) and named != issuer:
        return "it is from another issuer by its own iss"
    return None


def own_words(token: Token, issuer: str | None, client_id: str, now: float) -> list[str]:
    """What a JWT that a provider calls inactive says of itself, for an operator. Empty for an opaque token."""
    payload = _read_members(token, 1, "iss", "exp", "aud", "azp")
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
    typ = _read_members(token, 0, "typ").get("typ")
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else None


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _TIME_MAX_S


def _read_members(token: Token, part: int, *names: str) -> Mapping[str, Any]:
    """The members of the object in a part of a JWT that are in `names`; none for an opaque token."""
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
        return _read_whole(data)
    return _read_beginning(data, sought)


def _read_whole(data: bytes) -> Mapping[str, Any]:
    value = _parse(data)
    return value if isinstance(value, dict) else {}


def _read_beginning(data: bytes, sought: Mapping[bytes, str]) -> dict[str, Any]:
    """The scalars under `sought` in the part of the object that is read. Leaves out names that stand there twice."""
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
            # Only here is a number known to be complete.
            if name is not None and value is not None and (wanted := sought.get(name)):
                if wanted in found:
                    twice.add(wanted)
                found[wanted] = _parse(value)
            name = value = None
            depth -= token in b"}]"
        elif name is None:
            name = token
        elif token != b":":
            value = token
    return {wanted: value for wanted, value in found.items() if wanted not in twice}


def _parse(data: bytes) -> Any:
    """The JSON value; `None` for bytes that are not JSON."""
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError):
        return None
