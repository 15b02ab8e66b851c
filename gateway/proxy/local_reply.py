"""The responses that the gateway gives itself, as bytes."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from aiohttp import web

from gateway.http.refusal import Refusal, render
from gateway.http.response_head import field_line
from gateway.proxy.access_record import AccessRecord
from gateway.proxy.date_field import date_line


def local_reply(
    status: int,
    fields: Iterable[tuple[str, str]],
    body: bytes,
    request_id: str,
    *,
    connection: str | None = None,
    to_head: bool = False,
) -> bytes:
    """A whole response. `connection` is the option to send, if any (RFC 9110 §7.6.1); `to_head`: without the body."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()]
    lines += [field_line(name, value) for name, value in fields]
    if status != HTTPStatus.NO_CONTENT:
        lines.append(b"Content-Length: %d\r\n" % len(body))
    lines += [date_line(), field_line("X-Request-Id", request_id)]
    if connection is not None:
        lines.append(field_line("Connection", connection))
    return b"".join([*lines, b"\r\n", b"" if to_head else body])


def own_reply(
    record: AccessRecord,
    status: int,
    fields: Iterable[tuple[str, str]],
    body: bytes = b"",
    *,
    connection: str | None = None,
    to_head: bool = False,
) -> bytes:
    """The same for the request of `record`, which notes it."""
    record.status, record.bytes_sent = status, 0 if to_head else len(body)
    return local_reply(status, fields, body, record.request_id, connection=connection, to_head=to_head)


def refusal_reply(
    refusal: Refusal,
    request_id: str,
    *,
    connection: str | None = None,
    to_head: bool = False,
    more: Iterable[tuple[str, str]] = (),
    problem_types: str | None = None,
) -> tuple[bytes, int]:
    """A refusal, and how many bytes of it are body; `more` are fields beside its own."""
    rendered = render(refusal, request_id, problem_types)
    fields = (*rendered.headers, *more)
    answer = local_reply(rendered.status, fields, rendered.body, request_id, connection=connection, to_head=to_head)
    return answer, 0 if to_head else len(rendered.body)


class AlreadySent(web.StreamResponse):
    """Stands for a response that is on the wire already."""

    def __init__(self, *, keeps_alive: bool = False) -> None:
        super().__init__()
        self._keeps_alive = keeps_alive

    @property
    def keep_alive(self) -> bool:
        """Whether aiohttp is to wait for another request."""
        return self._keeps_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """There is nothing to send."""

    async def write_eof(self, data: bytes = b"") -> None:
        """It has ended."""
