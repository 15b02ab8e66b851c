"""Moves what a provider puts elsewhere to where policies and identity headers look for it.

    claims: {scope: scp, roles: "https://example.com/roles"}  ->  scope, realm_access.roles and roles of the facts

This is done once, when facts are made, and never on the way of a request. A claim whose place is written counts only
from there: what stands where it is usually looked for is not taken instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.authn.claims import claim_at
from gateway.config.provider_model import ClaimNames

# RFC 6749 §3.3. One element is one scope, so that none can hold two.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


class ClaimPlaces:
    """Holds the places that the configuration names, by the name of the claim here."""

    __slots__ = ("_paths",)

    def __init__(self, paths: Mapping[str, tuple[str, ...]]) -> None:
        self._paths = paths

    def __repr__(self) -> str:
        return f"ClaimPlaces({self._paths!r})"

    @property
    def identity(self) -> bytes:
        """Tells facts under these places from facts under others; empty for none."""
        return repr(sorted(self._paths.items())).encode() if self._paths else b""

    def placed(self, claims: Mapping[str, Any]) -> Mapping[str, Any]:
        """`claims` with each value where it is looked for. A scope that is not understood keeps its wrong type."""
        if not self._paths:
            return claims
        found = {name: claim_at(claims, path) for name, path in self._paths.items()}
        moved = dict(claims)
        for name, value in found.items():
            _put(moved, name, value)
        return moved


def claim_places(names: ClaimNames) -> ClaimPlaces:
    written = {name: getattr(names, name) for name in type(names).model_fields}
    return ClaimPlaces({name: path for name, path in written.items() if path is not None})


def _put(claims: dict[str, Any], name: str, value: Any) -> None:
    match name:
        case "scope":
            _set(claims, "scope", _joined(value))
        case "roles":
            value = [value] if isinstance(value, str) else value
            _set(claims, "roles", value)
            access = claims.get("realm_access")
            realm = {key: one for key, one in access.items() if key != "roles"} if isinstance(access, dict) else {}
            claims["realm_access"] = realm if value is None else {**realm, "roles": value}
            # The claim's name itself may have a dot; the nested one counts first, but only where it is.
            claims.pop("realm_access.roles", None)
        case "audience":
            _set(claims, "audience", value)
            _set(claims, "aud", value)
        case _:
            _set(claims, name, value)


def _set(claims: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        claims.pop(name, None)
    else:
        claims[name] = value


def _joined(scope: Any) -> Any:
    """The text of a list of scopes; anything that is not one stays as it is, and is not understood."""
    if not isinstance(scope, list) or not all(isinstance(one, str) and _SCOPE.fullmatch(one) for one in scope):
        return scope
    return " ".join(scope)
