import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.strict_json import DEPTH_MAX, JSONError, loads


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"nul", b"NaN", b"[Infinity]", b"[-Infinity]", b"1e999", b'{"a":1,"a":2}', b'{"b":{"a":1,"a":1}}',
        b"\xff", b"\xef\xbb\xbf{}", b"<html>", b'{"a":01}', b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1),
        b"[" * 100_000, b"9" * 5000, b'"a', b"{}{}",
    ],
)  # fmt: skip
def test_what_has_no_single_meaning_is_refused(body: bytes) -> None:
    with pytest.raises(JSONError):
        loads(body)


def test_brackets_in_texts_are_no_depth() -> None:
    assert loads(json.dumps(["[" * 100, '\\"[[' * 50]).encode()) == ["[" * 100, '\\"[[' * 50]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_all_else_is_what_json_says(value) -> None:
    assert loads(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_json_error(body: bytes) -> None:
    with suppress(JSONError):
        loads(body)
