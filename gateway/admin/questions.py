"""Reads the bodies of the admin listener, and refuses rather than guesses.

A typing error must never turn the purge of one token into a purge of everything. Only a request without any body and
without a query means everything.
"""

from __future__ import annotations

from typing import Any

from gateway.http.strict_json import JSONError, loads
from gateway.introspection.invalidation import TOKEN_CLAIMS


class BadQuestionError(ValueError):
    """The body is not valid; the text says what to send instead."""


def parse_selector(body: bytes, query: str) -> dict[str, str]:
    """Read what to forget: `{"token": …}`, `{"sub": …}` or another claim, or all (`{}`) for no body at all."""
    if query:
        raise BadQuestionError('what to forget goes into the body: {"token": …} or {"sub": …}; the query is not read')
    if not body:
        return {}
    selector = _members(body)
    if len(selector) != 1 or not selector.keys() <= {"token", *TOKEN_CLAIMS}:
        instead = 'write {"token": …}, {"sub": …}, {"sid": …}, {"jti": …}, {"client_id": …} or {"email": …}'
        raise BadQuestionError(f"{instead}, or send no body to forget everything")
    return {name: _text(name, value) for name, value in selector.items()}


def parse_explain(body: bytes) -> dict[str, str]:
    """Read the request to explain: `{"method": …, "url": …}`, and optionally a `"token"`."""
    question = _members(body)
    if not {"method", "url"} <= question.keys() <= {"method", "url", "token"}:
        raise BadQuestionError('write {"method": …, "url": …}, and "token" when one is sent')
    return {name: _text(name, value) for name, value in question.items()}


def _members(body: bytes) -> dict[str, Any]:
    try:
        value = loads(body)
    except JSONError as error:
        raise BadQuestionError(f"the body cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise BadQuestionError("the body is not a JSON object")
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise BadQuestionError(f'"{name}" is not a text, or is empty')
    return value
