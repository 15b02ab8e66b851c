import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.fates import FieldFates
from gateway.http.forwarded import NOBODY_TRUSTED, TrustedProxies
from gateway.http.request_fields import fields_of_text
from gateway.http.trace_context import TraceContext, draws_below, follow_trace

pytestmark = pytest.mark.pure
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
LOW, HIGH = "0" * 16 + "2" * 16, "f" * 16 + "3" * 16  # ids of requests; what they begin with is the draw
NEW_IDS = ["4" * 16 + "5" * 16, "6" * 16 + "7" * 16]
READS_TRACE = FieldFates(frozenset(), reads_trace=True)
EVERYBODY = TrustedProxies(every_peer=True)


def followed(
    *parents: str, states: tuple[str, ...] = (), request_id: str = HIGH, sample: float = 0.5, is_believed: bool = False
) -> TraceContext:
    new_ids = iter(NEW_IDS)
    fields = fields_of_text(READS_TRACE, [("TraceParent", one) for one in parents])
    trusted = EVERYBODY if is_believed else NOBODY_TRUSTED
    below, peer = draws_below(sample), "10.0.0.1"
    return follow_trace(fields.trace_parent, states, request_id, below, lambda: next(new_ids), trusted, peer)


def lines(trace: TraceContext, *gone: str) -> list[str]:
    return trace.lines(frozenset(gone)).decode("utf-8", "surrogateescape").splitlines()


def test_a_callers_trace_is_followed() -> None:
    trace = followed(f"00-{TRACE}-{SPAN}-01", states=("a=1", "b=2"), request_id=LOW)
    assert (trace.trace_id, trace.parent_id, trace.span_id) == (TRACE, SPAN, "4" * 16)
    assert lines(trace) == [f"traceparent: 00-{TRACE}-{'5' * 16}-01", "tracestate: a=1,b=2"]


def test_an_unrecorded_request_draws_no_id_and_has_a_span_of_its_own() -> None:
    trace = follow_trace(f"00-{TRACE}-{SPAN}-01".encode(), ["a=1"], HIGH, "0", no_id, NOBODY_TRUSTED, "10.0.0.1")
    assert lines(trace) == [f"traceparent: 00-{TRACE}-{'3' * 16}-00", "tracestate: a=1"]


def test_an_unrecorded_trace_that_begins_here_has_the_requests_id() -> None:
    trace = follow_trace(None, ["a=1"], HIGH, "0", no_id, NOBODY_TRUSTED, "10.0.0.1")
    assert lines(trace) == [f"traceparent: 00-{HIGH}-{'3' * 16}-00"]


def test_a_recorded_trace_that_begins_here_has_ids_of_its_own() -> None:
    trace = followed(request_id=LOW)
    assert (trace.trace_id, trace.parent_id, trace.span_id) == (NEW_IDS[0], None, "6" * 16)
    assert lines(trace) == [f"traceparent: 00-{NEW_IDS[0]}-{'7' * 16}-01"]


@pytest.mark.parametrize("gone", ["traceparent", "tracestate"])
def test_what_a_route_removes_does_not_go_on(gone: str) -> None:
    assert [gone in line for line in lines(followed(f"00-{TRACE}-{SPAN}-01", states=("a=1",)), gone)] == [False]


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"ff-{TRACE}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"01-{TRACE}-{'0' * 16}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"0-{TRACE}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01.more",
        f"00-{TRACE}0{SPAN}-01",
        f"00--{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN[:-1]}\xe9-01",
        f"\xa000-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_broken_begins_a_new_trace_without_the_callers_state(value: str) -> None:
    trace = followed(value, states=("a=1",))
    assert (trace.trace_id, trace.parent_id, trace.state) == (HIGH, None, "")


TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.DOTALL)


@given(
    st.lists(st.tuples(st.integers(0, 54), st.sampled_from(b"0f9ag-AF/:`\xff")), max_size=3),
    st.sampled_from(["", "-", "-x", "x"]),
)
def test_the_form_is_that_of_the_standard(changes: list[tuple[int, int]], more: str) -> None:
    value = bytearray(f"00-{'0' * 31}1-{'0' * 15}1-00{more}".encode())
    for place, byte in changes:
        value[place] = byte
    found = TRACEPARENT.fullmatch(value)
    is_valid = found is not None and not (value.startswith(b"00") and found[1])
    trace = follow_trace(bytes(value), [], HIGH, "0", no_id, NOBODY_TRUSTED, "10.0.0.1")
    assert trace.trace_id == (bytes(value[3:35]).decode() if is_valid else HIGH)


@pytest.mark.parametrize("count", [2, 3])
def test_several_parents_are_none(count: int) -> None:
    assert followed(*[f"00-{TRACE}-{SPAN}-01"] * count).trace_id == HIGH


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    trace = followed(f"01-{TRACE}-{SPAN}-01-more")
    assert trace.trace_id == TRACE
    assert lines(trace)[0].startswith(f"traceparent: 00-{TRACE}-")


@pytest.mark.parametrize("flags", ["00", "01", "02", "03", "fe", "ff", "0a", "0b"])
@pytest.mark.parametrize("request_id", [LOW, HIGH])
@pytest.mark.parametrize("is_believed", [True, False])
def test_only_a_trusted_caller_decides(flags: str, request_id: str, *, is_believed: bool) -> None:
    """A client can neither have its requests recorded, nor keep them from it."""
    trace = followed(f"00-{TRACE}-{SPAN}-{flags}", request_id=request_id, is_believed=is_believed)
    assert trace.is_sampled is (bool(int(flags, 16) & 1) if is_believed else request_id == LOW)
    assert lines(trace)[0].endswith("-01" if trace.is_sampled else "-00")


@pytest.mark.parametrize(
    ("sample", "request_id", "is_sampled"),
    [
        (0.0, "0" * 32, False),
        (1.0, "f" * 32, True),
        (0.5, "7" + "f" * 31, True),
        (0.5, "8" + "0" * 31, False),
        (0.1, "19999998" + "f" * 24, True),
        (0.1, "1999999a" + "0" * 24, False),
    ],
)
def test_the_part_that_is_configured_is_recorded(sample: float, request_id: str, *, is_sampled: bool) -> None:
    assert followed(request_id=request_id, sample=sample).is_sampled is is_sampled


def test_a_long_state_is_left_out_as_a_whole() -> None:
    assert followed(f"00-{TRACE}-{SPAN}-01", states=("a=" + "1" * 511,)).state == ""
    assert followed(f"00-{TRACE}-{SPAN}-01", states=("a=" + "1" * 510,)).state != ""


def no_id() -> str:
    raise AssertionError("an id was drawn")
