"""An allowed request as the value that a backend's connection takes."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.decision import Allow
from gateway.http.backend import Backend
from gateway.http.headers import field_lines
from gateway.identity import Identity
from gateway.proxy.upstream.backend_request import NO_BODY, BackendRequest, BodyFraming


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """A request but for what differs between requests that are alike: the id, the peer, the identity.

    None of these has a line end: ids and peers by their form, identities by `gateway.identity`.
    """

    request: BackendRequest
    before_id: str
    before_peer: str
    before_identity: str

    def fields(self, request_id: str, peer: str, identity: Identity) -> str:
        return f"{self.before_id}{request_id}{self.before_peer}{peer}{self.before_identity}{identity.text}"


def form_of(method: str, backend: Backend, allow: Allow, framing: BodyFraming) -> Form | None:
    """`None` where requests for this route take more than filling in."""
    lines = allow.lines
    if lines is None:
        return None
    request = _control_data(method, backend, allow, framing)
    parts = lines.before_id, lines.before_peer, lines.rest
    _check(request, "".join(parts), lines.lines)
    return Form(request, *parts)


def framing_of(length: int | None) -> BodyFraming:
    """Of a body that is there as a whole; `length` is `None` where none was declared."""
    return NO_BODY if length is None else BodyFraming(length)


def backend_request(method: str, backend: Backend, allow: Allow, framing: BodyFraming) -> tuple[BackendRequest, str]:
    """The request for `backend`, and its field lines."""
    request, lines = _control_data(method, backend, allow, framing), allow.lines
    if lines is None:
        fields = allow.headers
        text, count = field_lines(fields), len(fields)
    else:
        case, identity = allow.case, allow.identity
        text = f"{lines.before_id}{case.request_id}{lines.before_peer}{case.caller.peer}{lines.rest}{identity.text}"
        count = lines.lines + len(identity.pairs)
    _check(request, text, count)
    return request, text


def _control_data(method: str, backend: Backend, allow: Allow, framing: BodyFraming) -> BackendRequest:
    authority = (allow.route.config.preserve_host and allow.target.authority) or backend.authority
    return BackendRequest(method, authority, f"{backend.path}{allow.path_and_query}", framing)


def _check(request: BackendRequest, fields: str, lines: int) -> None:
    # Nothing that comes this far has a line end in it; should it all the same, it must not become a line.
    text = f"{request.method}{request.authority}{request.target}{fields}"
    if text.count("\n") != lines or text.count("\r") != lines:
        raise ValueError("a field of a request to a backend has a line end")
