"""What the decisions listener reads and answers, in both of its lanes: a told request, and a 200 that admits it.

The 200 has the name of each identity header, and `Authorization`, exactly once, and empty where the backend must not
get one. Proxies copy these fields over the client's. Of a field that is left out most of them pass on the client's own,
and Caddy 2.6 sends the text of its placeholder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.decision import Allow
from gateway.http.refusal import Refusal
from gateway.http.request_fields import Fields
from gateway.http.response_head import field_line
from gateway.http.told_request import read_told
from gateway.http.trace_context import TraceContext
from gateway.proxy.access_record import AccessRecord
from gateway.proxy.date_field import date_line
from gateway.request import Request

_HTTP11 = (1, 1)
_AUTHORIZATION = "authorization"
_REQUEST_ID = "x-request-id"
# No-store: a proxy that kept it would go on admitting a token that was revoked.
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: no-store\r\n"


def told_request(
    record: AccessRecord,
    method: str,
    target: str,
    fields: Fields,
    peer: str,
    scheme: str,
    trace: TraceContext | None = None,
) -> Request | Refusal:
    """The request that a subrequest of `peer` tells of. The record becomes one of that request."""
    told = read_told(method, target, fields, scheme)
    if isinstance(told, Refusal):
        return told
    record.method, record.path = told.method, told.target.partition("?")[0]
    return Request(told.method, told.target, told.fields, peer, scheme, _HTTP11, record.request_id, trace)


def allowed_reply(
    answered: Sequence[str],
    allow: Allow,
    request_id: str,
    *,
    more: Iterable[tuple[str, str]] = (),
    connection: str | None = None,
) -> bytes:
    """The 200. `answered` are the names that it has in any case, `more` are fields beside them."""
    values = {name.lower(): value for name, value in allow.identity.pairs}
    values[_AUTHORIZATION] = _authorization(allow)
    lines = [_HEAD, date_line()]
    lines += [field_line(name, values.get(name.lower(), "")) for name in answered]
    lines += [field_line(name, value) for name, value in more if name.lower() not in values]
    if all(name.lower() != _REQUEST_ID for name in answered):
        lines.append(field_line("X-Request-Id", request_id))
    if connection is not None:
        lines.append(field_line("Connection", connection))
    return b"".join([*lines, b"\r\n"])


def _authorization(allow: Allow) -> str:
    """What a backend would get as `Authorization`: the caller's, another one, or nothing."""
    rules = allow.route.request_rules
    if not (rules.keep_authorization or rules.set_lines or allow.context.met):
        return ""
    found = [value for name, value in allow.lines.pairs if name.lower() == _AUTHORIZATION]
    return found[0] if len(found) == 1 else ""
