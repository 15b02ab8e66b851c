import json
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.strict_json import DEPTH_MAX, JSONError, NamePool, loads


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


@pytest.mark.parametrize("beside", [b"", b",[]" * 200, b',{"a":[]}' * 200, b',"\\\\[[[["' * 50])
def test_the_depth_counts_and_not_the_brackets(beside: bytes) -> None:
    inner = DEPTH_MAX - 1
    deepest = b"[" * inner + b"]" * inner
    assert loads(b"[" + deepest + beside + b"]")
    with pytest.raises(JSONError):
        loads(b"[[" + deepest + b"]" + beside + b"]")


def test_with_a_pool_equal_names_are_in_memory_once() -> None:
    pool = NamePool()
    one, other = (loads(b'{"preferred_username": 1, "inner": {"a_role": 2}}', pool=pool) for _ in range(2))
    assert [id(name) for name in one] == [id(name) for name in other]
    assert [id(name) for name in one["inner"]] == [id(name) for name in other["inner"]]


@pytest.mark.parametrize("pool", [None, NamePool()])
def test_no_name_is_interned(pool: NamePool | None) -> None:
    """In CPython 3.12.0 to 3.12.6 it would stay for ever."""
    value = loads(b'{"a_name_of_nobody_else": {"another_name_of_nobody": 1}}', pool=pool)
    for name in (*value, *next(iter(value.values()))):
        again = "".join(list(name))
        assert sys.intern(again) is again


def test_a_pool_is_bounded() -> None:
    pool = NamePool()
    for number in range(20_000):
        pool.pooled(f"name-{number}")
    pool.pooled("long" * 100)
    assert len(pool) <= 4_096
    assert "long" * 100 not in pool._names.known


def test_no_more_containers_are_read_than_allowed() -> None:
    assert loads(b"[[],{}]", containers_max=3) == [[], {}]
    for body in (b"[[],{},{}]", b"[" + b"{}," * 100_000 + b"{}]", b"[" * 100_000):
        with pytest.raises(JSONError, match="objects and lists"):
            loads(body, containers_max=3)


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
