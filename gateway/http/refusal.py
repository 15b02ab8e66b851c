"""The gateway's own error responses: one table of codes, and their form on the wire.

A refusal is a value that is returned up to the listener, and not an exception. Its `detail` is for the client and says
nothing about other callers, the provider's response or the configuration. Form: RFC 9457 (problem details), RFC 6750 §3
(the challenge), RFC 9110 §10.2.3 (`Retry-After`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from http import HTTPStatus
from math import ceil

# Clients, metrics and logs rely on the code. The status follows from it.
STATUS_OF_CODE = {
    "token_missing": 401,
    "invalid_token": 401,
    "invalid_dpop_proof": 401,
    "use_dpop_nonce": 401,
    "invalid_request": 400,
    "invalid_target": 400,
    "insufficient_user_authentication": 401,
    "insufficient_scope": 403,
    "forbidden": 403,
    "unsafe_claim": 403,
    "introspection_unavailable": 503,
    "exchange_refused": 403,
    "exchange_unavailable": 503,
    "no_route": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "content_too_large": 413,
    "uri_too_long": 414,
    "unsupported_media_type": 415,
    "rate_limited": 429,
    "headers_too_large": 431,
    "internal_error": 500,
    "event_unavailable": 503,
    "eviction_unavailable": 503,
    "http_version_not_supported": 505,
    "bad_gateway": 502,
    "gateway_timeout": 504,
}
# RFC 9449 §7.1 and §9: errors of a challenge in the scheme DPoP, and of no other.
_DPOP_ERRORS = frozenset({"invalid_dpop_proof", "use_dpop_nonce"})
# RFC 6750 §3.1 and RFC 9470 §3. Without a token, and for codes that they do not cover, the error attribute is left out.
_CHALLENGE_ERRORS = frozenset(
    {"invalid_request", "invalid_token", "insufficient_scope", "insufficient_user_authentication"}
)
_RETRY_AFTER_S = 1
_CHALLENGED = frozenset({401, 403})
_BEARER = "Bearer "

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Says why a request is not forwarded. `detail` goes to the client, `reason` only to the operator's log."""

    code: str
    detail: str
    headers: Fields = ()
    reason: str | None = None

    @property
    def status(self) -> int:
        return STATUS_OF_CODE[self.code]

    def and_fields(self, *fields: tuple[str, str]) -> Refusal:
        """The same with more fields in its response."""
        return replace(self, headers=(*self.headers, *fields))

    @property
    def told(self) -> str:
        """What the log says: the reason, and where there is none what the client is told."""
        return self.reason or self.detail


@dataclass(frozen=True, slots=True)
class Rendered:
    status: int
    headers: Fields
    body: bytes


def challenge(
    code: str,
    detail: str,
    *,
    scope: Iterable[str] = (),
    parameters: Iterable[tuple[str, str]] = (),
    reason: str | None = None,
) -> Refusal:
    """A 400, 401 or 403 with `WWW-Authenticate: Bearer` (RFC 6750 §3). `reason` is for the log.

    `parameters` are added to the challenge. Their values have neither quotes nor backslashes.
    """
    attributes = ['realm="gateway"']
    if code in _CHALLENGE_ERRORS:
        attributes += _error(code, detail)
    if needed := " ".join(sorted(scope)):
        attributes.append(f'scope="{needed}"')
    attributes += [f'{name}="{value}"' for name, value in parameters]
    return Refusal(code, detail, (("WWW-Authenticate", _BEARER + ", ".join(attributes)),), reason)


def with_dpop_challenge(refusal: Refusal, algorithms: str) -> Refusal:
    """The same refusal with a second challenge, in the scheme DPoP (RFC 9449 §7.1), if it is a 401 or 403 that has one.

    It says what the first one says, and the algorithms of proofs: their names, with a blank between two.
    """
    if refusal.status not in _CHALLENGED:
        return refusal
    fields: list[tuple[str, str]] = []
    for name, text in refusal.headers:
        fields.append((name, text))
        if name == "WWW-Authenticate" and text.startswith(_BEARER):
            realm, *others = text.removeprefix(_BEARER).split(", ", 1)
            own = _error(refusal.code, refusal.detail) if refusal.code in _DPOP_ERRORS else []
            fields.append((name, "DPoP " + ", ".join([realm, *own, *others, f'algs="{algorithms}"'])))
    return replace(refusal, headers=tuple(fields))


def with_parameter(refusal: Refusal, name: str, value: str) -> Refusal:
    """The same refusal with one more parameter in its challenge, if it is a 401 or 403 that has one."""
    if refusal.status not in _CHALLENGED:
        return refusal
    fields = tuple(
        (field, f'{text}, {name}="{value}"') if field == "WWW-Authenticate" else (field, text)
        for field, text in refusal.headers
    )
    return replace(refusal, headers=fields)


def _error(code: str, detail: str) -> list[str]:
    return [f'error="{code}"', f'error_description="{detail}"']


def unavailable(reason: str, retry_after_s: float | None = None) -> Refusal:
    """The 503 where a provider gave no clear result. RFC 6750 has no code for that: it is neither yes nor no."""
    wait_s = max(_RETRY_AFTER_S, round(retry_after_s or 0))
    return Refusal(
        "introspection_unavailable",
        "the identity provider could not say whether the token is active; try again",
        (("Retry-After", str(wait_s)),),
        reason,
    )


def no_credential(reason: str, retry_after_s: float | None = None) -> Refusal:
    """The 503 where nobody could say which token the backend gets."""
    wait_s = max(_RETRY_AFTER_S, round(retry_after_s or 0))
    detail = "the identity provider could not give a token for the backend; try again"
    return Refusal("exchange_unavailable", detail, (("Retry-After", str(wait_s)),), reason)


def too_many(detail: str, wait_s: float) -> Refusal:
    """The 429 for a client that must wait (RFC 6585 §4)."""
    return Refusal("rate_limited", detail, (("Retry-After", str(max(_RETRY_AFTER_S, ceil(wait_s)))),))


def render(refusal: Refusal, request_id: str, problem_types: str | None = None) -> Rendered:
    """Render the refusal as a problem document (RFC 9457 §3), with all headers except the length and the request id.

    `problem_types` is the address of a page with an anchor for each code.
    """
    problem = {
        "type": "about:blank" if problem_types is None else f"{problem_types}#{refusal.code}",
        "title": HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
        "request_id": request_id,
    }
    body = json.dumps(problem).encode() + b"\n"
    headers = (
        ("Content-Type", "application/problem+json"),
        ("Cache-Control", "no-store"),
        *refusal.headers,
    )
    return Rendered(refusal.status, headers, body)
