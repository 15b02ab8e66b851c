"""Many chunks are passed over as one by one, and no read of them holds up the others."""

from time import process_time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.http.plain_chunks import behind_whole_chunks, without_chunks


def one_by_one(data: bytes, start: int) -> int:
    """The position, as the grammar says it."""
    while True:
        line_end = data.find(b"\r\n", start)
        digits = data[start:line_end]
        if (
            line_end < 0
            or not 1 <= len(digits) <= 8
            or not all(chr(digit) in "0123456789abcdefABCDEF" for digit in digits)
        ):
            return start
        end = line_end + 2 + int(digits, 16)
        if end == line_end + 2 or data[end : end + 2] != b"\r\n":
            return start
        start = end + 2


SIZES = st.integers(1, 600) | st.sampled_from((1, 9, 10, 15, 16, 17, 255, 256, 257))
SPELLINGS = st.sampled_from((b"%x", b"%X", b"0%x", b"%04X", b"%08x", b"%09x", b"%x;a", b"%x ", b"0x%x"))


@st.composite
def chunk(draw: st.DrawFn) -> bytes:
    size = draw(SIZES)
    carried = bytes([draw(st.sampled_from(b"a\r\n\0\xff"))]) * size
    return draw(SPELLINGS) % size + b"\r\n" + carried + draw(st.sampled_from((b"\r\n", b"\r\n", b"\n", b"")))


@given(st.lists(chunk() | st.binary(max_size=6), max_size=6).map(b"".join), st.integers(0, 4))
@example(b"1\r\nx\r\n" * 4 + b"0\r\n\r\n", 0)
@example(b"1\r\nx\r\n" * 4 + b"1\r\nx\r", 0)
@example(b"10\r\n" + b"x" * 16 + b"\r\n", 0)
@example(b"0\r\n\r\n1\r\nx\r\n", 0)
@example(b"00000001\r\nx\r\n000000001\r\nx\r\n", 0)
def test_many_are_passed_over_as_one_by_one(data, start) -> None:
    start = min(start, len(data))
    assert behind_whole_chunks(data, start) == one_by_one(data, start)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8))
def test_what_they_carry_is_taken_out(parts) -> None:
    data = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    assert behind_whole_chunks(data, 0) == len(data)
    assert without_chunks(data) == b"".join(parts)


@pytest.mark.parametrize("size", [1, 15, 16, 255, 256])
def test_a_read_of_short_chunks_costs_little_more_than_one_of_long_ones(size) -> None:
    """One by one, those of one byte took a hundred times as long: 30 ms and more for 256 KiB."""
    one = b"%x\r\n%b\r\n" % (size, b"x" * size)
    data = one * (2**18 // len(one))
    took_s = []
    for _ in range(5):
        started_s = process_time()
        assert behind_whole_chunks(data, 0) == len(data)
        took_s.append(process_time() - started_s)
    assert min(took_s) < 0.01
