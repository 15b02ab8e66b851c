"""The head of a request as the pipeline takes it, from whichever lane it came. Pure."""

from __future__ import annotations

from gateway.http.request_fields import Fields
from gateway.http.trace_context import TraceContext


class Request:
    """Holds the head of a request as it came, unchecked and untrusted. The query of its target may hold secrets.

    `peer` is the address of the connection's other end, empty for a Unix socket; `scheme` is the connection's.
    `new_request_id` is used unless a trusted proxy sent one. `trace` is there where the gateway takes part in traces.
    `certificate` is the thumbprint of the one that the client showed on its connection (RFC 8705 §3.1).
    """

    __slots__ = ("certificate", "fields", "method", "new_request_id", "peer", "scheme", "target", "trace", "version")

    def __init__(
        self,
        method: str,
        target: str,
        fields: Fields,
        peer: str,
        scheme: str,
        version: tuple[int, int],
        new_request_id: str,
        trace: TraceContext | None = None,
        *,
        certificate: str | None = None,
    ) -> None:
        self.trace = trace
        self.certificate = certificate
        self.method = method
        self.target = target
        self.fields = fields
        self.peer = peer
        self.scheme = scheme
        self.version = version
        self.new_request_id = new_request_id
