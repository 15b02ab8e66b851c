"""W3C Trace Context: reads `traceparent` and `tracestate`, and writes those that go on (Level 1, §3 and §4).

A trace is followed whoever began it. Whether a request is recorded is the gateway's own decision, unless a trusted
proxy has made it: otherwise a client could have each of its requests recorded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

Pairs = Sequence[tuple[str, str]]

_TRACEPARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_SAMPLED: Final = 1
# §3.3.1.5: at least so much has to go on; more may be left out, and then as a whole.
_STATE_CHARS_MAX: Final = 512
_PARENT: Final = "traceparent"
_STATE: Final = "tracestate"
_SPAN_CHARS: Final = 16
_DRAW_CHARS: Final = 8
_DRAWS: Final = 16**8


class TraceContext:
    """Holds the place of one request in its trace. Ids are lower-case hex: 32 characters of the trace, 16 of a span.

    `span_id` is the request's own span and `backend_span_id` that of what the backend is asked. `parent_id` is the
    caller's span, if it named one. `state` is the caller's `tracestate`.
    """

    __slots__ = ("backend_span_id", "is_sampled", "parent_id", "span_id", "state", "trace_id")

    def __init__(
        self,
        trace_id: str,
        span_id: str,
        backend_span_id: str,
        *,
        is_sampled: bool,
        parent_id: str | None = None,
        state: str = "",
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.backend_span_id = backend_span_id
        self.is_sampled = is_sampled
        self.parent_id = parent_id
        self.state = state

    @property
    def fields(self) -> list[tuple[str, str]]:
        """What the backend is told."""
        parent = f"00-{self.trace_id}-{self.backend_span_id}-{'01' if self.is_sampled else '00'}"
        fields = [(_PARENT, parent)]
        if self.state:
            fields.append((_STATE, self.state))
        return fields


def follow_trace(
    fields: Pairs, new_trace_id: str, new_span_ids: str, sample: float, *, is_believed: bool
) -> TraceContext:
    """The context of a request with these trace fields: the caller's trace, or a new one.

    `new_trace_id` and `new_span_ids` are 32 random hex characters each. The part `sample` of requests is recorded,
    where no trusted caller has decided (`is_believed`).
    """
    span_id, backend_span_id = new_span_ids[:_SPAN_CHARS], new_span_ids[_SPAN_CHARS:]
    is_drawn = int(span_id[:_DRAW_CHARS], 16) < sample * _DRAWS
    parents, states = list[str](), list[str]()
    for name, value in fields:
        lower = name.lower()
        if lower == _PARENT:
            parents.append(value)
        elif lower == _STATE:
            states.append(value)
    found = _TRACEPARENT.fullmatch(parents[0].strip()) if len(parents) == 1 else None
    if found is None or (found[1] == "00" and found[5]):
        return TraceContext(new_trace_id, span_id, backend_span_id, is_sampled=is_drawn)
    is_sampled = bool(int(found[4], 16) & _SAMPLED) if is_believed else is_drawn
    state = ",".join(states)
    return TraceContext(
        found[2],
        span_id,
        backend_span_id,
        is_sampled=is_sampled,
        parent_id=found[3],
        state=state if len(state) <= _STATE_CHARS_MAX else "",
    )
