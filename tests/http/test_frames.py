from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.frames import Frames, close_frame

MASK = b"\x01\x02\x03\x04"


def frame(payload, opcode=1, *, is_masked=False):
    size, flag = len(payload), 0x80 if is_masked else 0
    if size < 126:
        head = bytes((0x80 | opcode, flag | size))
    elif size < 2**16:
        head = bytes((0x80 | opcode, flag | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, flag | 127)) + size.to_bytes(8, "big")
    return head + (MASK if is_masked else b"") + payload


WHOLE = [frame(b"x" * size, is_masked=masked) for size in (0, 1, 125, 126, 65_535, 65_536) for masked in (False, True)]


@pytest.mark.parametrize("wire", WHOLE, ids=len)
def test_it_stands_between_two_frames_at_the_end_of_each_and_nowhere_else(wire):
    frames = Frames()
    assert frames.is_between
    for at in range(min(len(wire), 200)):
        assert frames.is_between == (at == 0)
        frames.feed(wire[at : at + 1])
    if len(wire) > 200:
        assert not frames.is_between
        frames.feed(wire[200:-1])
        assert not frames.is_between
        frames.feed(wire[-1:])
    assert frames.is_between
    assert not frames.has_closed


@given(st.lists(st.sampled_from(WHOLE[:8]), min_size=1, max_size=6), st.data())
def test_however_the_bytes_are_cut_the_ends_are_the_same(parts, data):
    wire = b"".join(parts)
    ends = {sum(map(len, parts[:count])) for count in range(len(parts) + 1)}
    cuts = sorted({0, len(wire), *data.draw(st.lists(st.integers(0, len(wire)), max_size=8))})
    frames = Frames()
    for start, end in pairwise(cuts):
        frames.feed(wire[start:end])
        assert frames.is_between == (end in ends)


@pytest.mark.parametrize("mask", [None, MASK])
def test_a_close_frame_is_known_also_from_its_first_byte_on(mask):
    wire = close_frame(1008, "enough", mask)
    for size in (len(wire), 2 + len(mask or b"")):
        frames = Frames()
        frames.feed(frame(b"a\x88b"))
        assert not frames.has_closed
        frames.feed(wire[:size])
        assert frames.has_closed
        assert frames.is_between == (size == len(wire))


def test_a_close_frame_has_its_code_and_its_reason():
    assert close_frame(1008, "no") == b"\x88\x04\x03\xf0no"
    assert close_frame(1001, "no", MASK) == b"\x88\x84" + MASK + bytes((0x03 ^ 1, 0xE9 ^ 2, ord("n") ^ 3, ord("o") ^ 4))
    assert len(close_frame(1008, "x" * 200)) == 127
