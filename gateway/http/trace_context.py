"""W3C Trace Context: reads `traceparent` and `tracestate`, and writes those that go on (Level 1, §3 and §4).

A trace is followed whoever began it. Whether a request is recorded is the gateway's own decision, unless a trusted
proxy has made it: otherwise a client could have each of its requests recorded.

The backend gets a new `parent-id` also where nothing is recorded: the flag may be another one than the caller's, which
demands it (§3.5), and OpenTelemetry gives each span an id, recorded or not. The random part of the request's id serves
for all that an unrecorded request needs, because most requests are of that kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from gateway.http.forwarded import TrustedProxies
from gateway.http.headers import field_line_to_backend

# Each byte of a traceparent becomes the kind of byte that it is, so that one comparison checks its whole form.
_KIND: Final = {**dict.fromkeys(b"0123456789abcdef", ord("h")), ord("-"): ord("-")}
_KINDS: Final = bytes(_KIND.get(byte, 0) for byte in range(256))
_FORM: Final = b"hh-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh-hh"
_CHARS: Final = 55
_DASH: Final = 45
_ZERO: Final = 48
_NO_TRACE: Final = b"0" * 32
_NO_SPAN: Final = b"0" * 16
_SAMPLED_DIGITS: Final = b"13579bdf"  # the last bit of the flags
_PARENT: Final = "traceparent"
_STATE: Final = "tracestate"
# §3.3.1.5: at least so much has to go on; more may be left out, and then as a whole.
_STATE_CHARS_MAX: Final = 512
_BEGIN: Final = b"traceparent: 00"
_SAMPLED: Final = b"-01\r\n"
_UNSAMPLED: Final = b"-00\r\n"
_SPAN_CHARS: Final = 16
_DRAWS: Final = 16**8
_ABOVE_ALL: Final = "g"


class TraceContext:
    """Holds the place of one request in its trace. Ids are lower-case hex: 32 characters of the trace, 16 of a span.

    `line` is the traceparent that the backend gets, with its name and its end, and `state` the caller's `tracestate`.
    A recorded request has a span of its own, `span_id`; `parent_id` is the caller's span, if it named one.
    """

    __slots__ = ("is_sampled", "line", "parent_id", "span_id", "state")

    def __init__(
        self, line: bytes, state: str = "", span_id: str = "", parent_id: str | None = None, *, is_sampled: bool
    ) -> None:
        self.line = line
        self.state = state
        self.span_id = span_id
        self.parent_id = parent_id
        self.is_sampled = is_sampled

    @property
    def trace_id(self) -> str:
        return self.line[16:48].decode("ascii")

    @property
    def backend_span_id(self) -> str:
        """The span of what the backend is asked."""
        return self.line[49:65].decode("ascii")

    def lines(self, gone: frozenset[str]) -> bytes:
        """What the backend is told, as lines with their ends, but for the names that are `gone`."""
        line = b"" if _PARENT in gone else self.line
        return line + field_line_to_backend(_STATE, self.state) if self.state and _STATE not in gone else line


def draws_below(sample: float) -> str:
    """The hex text below which the ids of that part of requests are."""
    limit = int(sample * _DRAWS)
    return _ABOVE_ALL if limit >= _DRAWS else f"{limit:08x}"


def follow_trace(
    parent: bytes | None,
    states: Sequence[str],
    request_id: str,
    sampled_below: str,
    new_id: Callable[[], str],
    trusted: TrustedProxies,
    peer: str,
) -> TraceContext:
    """The context of a request with these trace fields: the caller's trace, or a new one.

    `request_id` is 32 random hex characters, and `new_id` makes more of them. A request is recorded where its id is
    less than `sampled_below`, or as the caller says where `peer` is one of the `trusted`.
    """
    is_sampled = request_id < sampled_below
    state = ""
    parent_id: str | None = None
    if parent is None or not _is_valid(parent):
        trace_id = f"-{new_id() if is_sampled else request_id}-".encode()
    else:
        if (parent[54] in _SAMPLED_DIGITS) is not is_sampled and trusted.has_peer(peer):
            is_sampled = not is_sampled
        trace_id = parent[2:36]
        if is_sampled:
            parent_id = parent[36:52].decode("ascii")
        if states:
            state = _joined(states)
    if not is_sampled:
        line = b"".join((_BEGIN, trace_id, request_id[_SPAN_CHARS:].encode(), _UNSAMPLED))
        return TraceContext(line, state, is_sampled=False)
    spans = new_id()
    line = b"".join((_BEGIN, trace_id, spans[_SPAN_CHARS:].encode(), _SAMPLED))
    return TraceContext(line, state, spans[:_SPAN_CHARS], parent_id, is_sampled=True)


def _joined(states: Sequence[str]) -> str:
    state = ",".join(states)
    return state if len(state) <= _STATE_CHARS_MAX else ""


def _is_valid(parent: bytes) -> bool:
    """Whether it is a traceparent (§3.2): of this version to the letter, of a later one as far as this one goes."""
    chars = len(parent)
    if chars != _CHARS:
        if chars < _CHARS or parent[_CHARS] != _DASH or parent.startswith(b"00"):
            return False
        parent = parent[:_CHARS]
    if parent.translate(_KINDS) != _FORM:
        return False
    # An id that begins with another digit is not all zeros, and most do.
    if parent[3] == _ZERO and parent[3:35] == _NO_TRACE:
        return False
    if parent[36] == _ZERO and parent[36:52] == _NO_SPAN:
        return False
    return parent[0] == _ZERO or not parent.startswith(b"ff")
