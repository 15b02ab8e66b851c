import pytest

from gateway.http.trace_context import TraceContext, follow_trace

pytestmark = pytest.mark.pure
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
NEW_TRACE = "1" * 32
LOW, HIGH = "0" * 8 + "2" * 24, "f" * 8 + "3" * 24  # spans' ids; the first eight characters are the draw


def followed(*fields: tuple[str, str], ids: str = LOW, sample: float = 0.5, is_believed: bool = False) -> TraceContext:
    return follow_trace(fields, NEW_TRACE, ids, sample, is_believed=is_believed)


def parent(value: str) -> tuple[str, str]:
    return ("traceparent", value)


def test_a_callers_trace_is_followed() -> None:
    trace = followed(("TraceParent", f"00-{TRACE}-{SPAN}-01"), ("tracestate", "a=1"), ("tracestate", "b=2"))
    assert (trace.trace_id, trace.parent_id) == (TRACE, SPAN)
    assert trace.fields == [("traceparent", f"00-{TRACE}-{'2' * 16}-01"), ("tracestate", "a=1,b=2")]


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"0-{TRACE}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01.more",
    ],
)
def test_what_is_broken_begins_a_new_trace_without_the_callers_state(value: str) -> None:
    trace = followed(parent(value), ("tracestate", "a=1"))
    assert (trace.trace_id, trace.parent_id, trace.state) == (NEW_TRACE, None, "")


def test_two_parents_are_none() -> None:
    assert followed(parent(f"00-{TRACE}-{SPAN}-01"), parent(f"00-{TRACE}-{SPAN}-01")).trace_id == NEW_TRACE


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    trace = followed(parent(f"01-{TRACE}-{SPAN}-01-more"))
    assert trace.trace_id == TRACE
    assert trace.fields[0][1].startswith(f"00-{TRACE}-")


@pytest.mark.parametrize(
    ("flags", "is_believed", "ids", "is_sampled"),
    [
        ("01", True, HIGH, True),
        ("00", True, LOW, False),
        ("03", True, HIGH, True),
        ("01", False, HIGH, False),  # a client cannot have its requests recorded
        ("00", False, LOW, True),  # nor keep them from it
    ],
)
def test_only_a_trusted_caller_decides(flags: str, *, is_believed: bool, ids: str, is_sampled: bool) -> None:
    trace = followed(parent(f"00-{TRACE}-{SPAN}-{flags}"), ids=ids, is_believed=is_believed)
    assert trace.is_sampled is is_sampled
    assert trace.fields[0][1].endswith("-01" if is_sampled else "-00")


@pytest.mark.parametrize(("sample", "low", "high"), [(0.0, False, False), (0.5, True, False), (1.0, True, True)])
def test_the_part_that_is_configured_is_recorded(sample: float, *, low: bool, high: bool) -> None:
    assert followed(ids=LOW, sample=sample).is_sampled is low
    assert followed(ids=HIGH, sample=sample).is_sampled is high


def test_a_long_state_is_left_out_as_a_whole() -> None:
    assert followed(parent(f"00-{TRACE}-{SPAN}-01"), ("tracestate", "a=" + "1" * 511)).state == ""
