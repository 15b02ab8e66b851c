"""A caller's token in each place where a request may have it, and that none of its bytes has reached a backend."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from support.backend import Backend

# As `auth.token_from` has it.
TOKEN_PLACES: tuple[Any, ...] = ("authorization", {"header": "X-Access-Token"}, {"cookie": "at"}, {"query": "at"})
_BODY = b"field=of-the-caller"


def in_all_places(token: str) -> Iterator[bytes]:
    """Requests with a body: the token once in each place, and then in all of them at once."""
    fields = [f"Authorization: Bearer {token}", f"X-Access-Token: {token}", f"Cookie: at={token}"]
    for one in fields:
        yield _post("q=1", [one])
    yield _post(f"q=1&at={token}", [])
    yield _post(f"at={token}&q=1", fields)


def _post(query: str, fields: list[str]) -> bytes:
    lines = [f"POST /bills/7?{query} HTTP/1.1", "Host: a", *fields, f"Content-Length: {len(_BODY)}", "", ""]
    return "\r\n".join(lines).encode() + _BODY


def authorizations(backend: Backend) -> list[str]:
    return [str(request.value("Authorization")) for request in backend.requests]


def nowhere_in(backend: Backend, token: str) -> None:
    """Fails where the token is in a head, a query, a body or anything else that the backend was sent, in any coding."""
    assert backend.connections
    assert all(request.body == _BODY for request in backend.requests)
    assert all(request.target == "/bills/7?q=1" for request in backend.requests)
    received = b"".join(bytes(each.received) for each in backend.connections)
    for form in (token, quote(token, safe=""), base64.b64encode(token.encode()).decode().rstrip("=")):
        assert form.encode() not in received
    # The signature of a JWT alone is what makes it good.
    assert token.rpartition(".")[2].encode() not in received
