"""Refuses a request in both lanes: with the same record, the same bytes and the same fate of the connection.

How it works: a lane has a `Refusal` from deciding, from the backend (`refusal_of`) or from its own failure (`FAILED`).
`send_refusal` puts it into the record, writes it to the client and says whether the connection goes on. It does not go
on after a request whose end is not certain (`UNTRUSTED_FRAMING`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from gateway.http.refusal import Refusal
from gateway.proxy.access_record import AccessRecord
from gateway.proxy.local_reply import refusal_reply
from gateway.proxy.upstream.backend_error import BackendError, BackendTimeoutError, NotConnectedError

if TYPE_CHECKING:
    from gateway.proxy.downstream.client_connection import ClientConnection

# Nobody expected it, so nothing of it is told to the client.
FAILED: Final = Refusal("internal_error", "the gateway failed on this request")
# After these, the next bytes on the connection may not be the next request.
UNTRUSTED_FRAMING: Final = frozenset(
    {
        "invalid_request",
        "invalid_target",
        "uri_too_long",
        "headers_too_large",
        "content_too_large",
        "request_timeout",
        "internal_error",
    }
)


def send_refusal(
    client: ClientConnection,
    record: AccessRecord,
    refusal: Refusal,
    more_fields: Iterable[tuple[str, str]],
    *,
    keeps_alive: bool = True,
    is_http10: bool = False,
    is_sound: bool = False,
    to_head: bool | None = None,
) -> bool:
    """Send it, with `more_fields` beside its own; whether the connection goes on, which `keeps_alive` allows.

    Another proxy asks about the request of the record where `is_sound` is set: its own framing is right, whatever the
    refusal says. `to_head` says whether it is a HEAD. By default the record says both.
    """
    record.status, record.code, record.reason = refusal.status, refusal.code, refusal.told
    keeps_alive = keeps_alive and not client.is_draining and (is_sound or refusal.code not in UNTRUSTED_FRAMING)
    wire, record.bytes_sent = refusal_reply(
        refusal,
        record.request_id,
        connection=connection_option(keeps_alive=keeps_alive, is_http10=is_http10),
        to_head=record.method == "HEAD" if to_head is None else to_head,
        more=more_fields,
        problem_types=client.problem_types,
    )
    client.write(wire)
    return keeps_alive


def connection_option(*, keeps_alive: bool, is_http10: bool) -> str | None:
    """What a response says of its connection, where the version of HTTP does not say it (RFC 9112 §9.3)."""
    if not keeps_alive:
        return "close"
    return "keep-alive" if is_http10 else None


def refusal_of(error: BackendError) -> Refusal:
    if isinstance(error, BackendTimeoutError) or (isinstance(error, NotConnectedError) and error.is_late):
        return Refusal("gateway_timeout", "the backend did not answer in time", reason=str(error))
    return Refusal("bad_gateway", "the backend could not be reached or gave no valid answer", reason=str(error))
