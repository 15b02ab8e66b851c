"""Entries of the first form, compact JSON: read as long as instances that write them may share a Redis with this one.

An update of the fleet then begins with a full cache. Instances that know only this form take an entry of the newer one
(`gateway.cache.entry_form`) for a miss.
"""

from __future__ import annotations

import json
from typing import Any, Final, TypeGuard

from gateway.authn.facts import CLAIM_NAMES, Facts, Inactive, scope_set
from gateway.cache.entry import StoredEntry
from gateway.introspection.ports import Memorable

# A larger number is not a time, and would not survive arithmetic.
_NUMBER_MAX: Final = 2**53
_MISSING: Final = object()


def decode_older(text: bytes) -> StoredEntry | None:
    """The entry; `None` for a text that is not of this form."""
    try:
        whole = text.decode()
        fields, end = _DECODER.raw_decode(whole)
    except (ValueError, RecursionError):
        return None
    if end != len(whole) or not isinstance(fields, dict):
        return None
    at: Any = fields.get("at")
    known, call = fields.get("known"), fields.get("call")
    age_ms, left_ms, kept_ms = fields.get("age"), fields.get("left"), fields.get("kept", 0)
    is_announced = fields.get("told", False)
    if not (_is_number(at) and _is_count(age_ms) and _is_count(left_ms) and _is_count(kept_ms)):
        return None
    if not isinstance(known, str) or not isinstance(call, str) or not isinstance(is_announced, bool):
        return None
    result = _result(fields, float(at))
    if result is None:
        return None
    try:
        log_position, fence = bytes.fromhex(known), bytes.fromhex(call)
    except ValueError:
        return None
    return StoredEntry(result, age_ms, left_ms, log_position, fence, kept_ms, is_announced)


def _result(fields: dict[str, Any], at: float) -> Memorable | None:
    active = fields.get("active")
    if active is True:
        return _facts(fields, at)
    why = fields.get("why")
    if active is not False or not (why is None or isinstance(why, str)):
        return None
    return Inactive(at, why)


def _facts(fields: dict[str, Any], at: float) -> Facts | None:
    claims, scopes, phantom = fields.get("claims"), fields.get("scopes"), fields.get("phantom")
    exp, nbf = fields.get("exp", _MISSING), fields.get("nbf", _MISSING)
    if not isinstance(claims, dict) or not isinstance(scopes, list):
        return None
    if not _is_time(exp) or not _is_time(nbf) or not (phantom is None or isinstance(phantom, str)):
        return None
    for scope in scopes:
        if not isinstance(scope, str):
            return None
    pooled = CLAIM_NAMES.pooled
    named = {pooled(name): value for name, value in claims.items()}
    return Facts(named, at, _seconds(exp), _seconds(nbf), scope_set(tuple(scopes)), phantom)


def _is_number(value: object) -> bool:
    # Not `abs`: compiled, it takes only what it was compiled for, and JSON has numbers of two types.
    return isinstance(value, int | float) and not isinstance(value, bool) and -_NUMBER_MAX <= value <= _NUMBER_MAX


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and -_NUMBER_MAX <= value <= _NUMBER_MAX


def _is_time(value: object) -> bool:
    return value is None or _is_number(value)


def _seconds(value: Any) -> float | None:
    # JSON may hold a time as an integer, which is not a `float` to the compiled form.
    return None if value is None else float(value)


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


_DECODER: Final = json.JSONDecoder(parse_constant=_constant)
