"""A head that has not ended: what there is too much of shows with the byte that makes it so."""

from time import process_time

import pytest
from fuzz.harness import all_taken

from gateway.http.scanner import Scanner
from gateway.http.unfinished import Excess, HeadLimits, UnfinishedHead

LIMITS = HeadLimits(bytes_max=100, fields_max=5)
LINE = b"GET / HTTP/1.1\r\n"


def taken(wire: bytes, size: int) -> tuple[int, Excess | None]:
    """How many bytes were taken before there was too much, and of what."""
    head = UnfinishedHead()
    for start in range(0, len(wire), size):
        assert head.add(wire[start : start + size]) == 0
        if (excess := head.excess(LIMITS)) is not None:
            return len(head.held), excess
    return len(head.held), None


JUST_RIGHT = {
    "nothing of a line": b"GET /" + b"a" * 99,
    "a target": b"GET /" + b"a" * 99 + b" HTTP/1.1\r\n",
    "an empty line before": b"\r\n" + LINE + b"A: b\r\n" * 5,
    "fields": LINE + b"A:b\r\n" * 5,
    "the last one unfinished": LINE + b"A:b\r\n" * 4 + b"A:b",
    "bytes": LINE + b"A:" + b"b" * 98,
    "fields, and the end but for its last byte": LINE + b"A:b\r\n" * 5 + b"\r",
    "bytes, and the end but for its last byte": LINE + b"A:" + b"b" * 96 + b"\r\n\r",
    "no fields, and the end but for its last byte": LINE + b"\r",
}
TOO_MUCH = {
    "a method": (b"G" * 101, Excess.TARGET),
    "a target": (b"GET /" + b"a" * 100, Excess.TARGET),
    "a target behind a long method": (b"G" * 99 + b" /" + b"a" * 100, Excess.TARGET),
    "fields": (LINE + b"A:b\r\n" * 5 + b"A", Excess.FIELDS),
    "fields behind an empty line": (b"\r\n" + LINE + b"A:b\r\n" * 5 + b"A", Excess.FIELDS),
    "bytes of one": (LINE + b"A:" + b"b" * 99, Excess.FIELDS),
    "bytes of several": (LINE + (b"A:" + b"b" * 48 + b"\r\n") * 1 + b"A:" + b"b" * 47, Excess.FIELDS),
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("wire", JUST_RIGHT.values(), ids=JUST_RIGHT)
def test_what_is_within_the_limits(wire, size):
    assert taken(wire, size) == (len(wire), None)


@pytest.mark.parametrize(("wire", "excess"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_too_much_shows_with_its_last_byte(wire, excess):
    assert taken(wire, 1) == (len(wire), excess)
    assert taken(wire + b"b" * 1000, 1) == (len(wire), excess)
    assert taken(wire, 1000) == (len(wire), excess)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_the_end_is_found_and_what_stands_behind_it_is_not_the_heads(size):
    head, wire = UnfinishedHead(), LINE + b"A: b\r\n\r\n"
    ends = [head.add(wire[start : start + size]) for start in range(0, len(wire), size)]
    assert ends[-1] == len(wire)
    assert not any(ends[:-1])
    head.clear()
    assert head.add(LINE) == 0
    assert head.excess(HeadLimits(100, 0)) is None


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_the_parser_gets_a_head_once_it_is_whole(size):
    scanner, wire = Scanner(HeadLimits(1000, 100)), LINE + b"Host: a\r\nContent-Length: 3\r\n\r\n"
    for start in range(0, len(wire) - 1, size):
        piece = wire[start : min(start + size, len(wire) - 1)]
        assert all_taken(scanner, piece) == (b"", True)
    assert scanner.head_bytes == len(wire) - 1
    assert all_taken(scanner, b"\nabc" + LINE) == (wire + b"abc", True)
    assert scanner.head_bytes == len(LINE)


@pytest.mark.parametrize(("wire", "excess"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_too_much_is_nothing_for_the_parser(wire, excess):
    scanner = Scanner(LIMITS)
    before = LINE + b"A: b\r\n\r\n"
    assert all_taken(scanner, before + wire[:-1]) == (before, True)
    assert all_taken(scanner, wire[-1:]) == (b"", False)
    assert scanner.excess is excess


@pytest.mark.parametrize("before", [b"", b"\r\n\r\n"])
@pytest.mark.parametrize(
    ("wire", "excess"),
    [
        (LINE + b"A:b\r\n" * 10 + b"\r\n", None),
        (LINE + b"A:b\r\n" * 11 + b"\r\n", Excess.FIELDS),
        (LINE + b"A:" + b"b" * 400 + b"\r\n\r\n", Excess.FIELDS),
        (b"GET /" + b"a" * 400 + b" HTTP/1.1\r\n\r\n", Excess.TARGET),
    ],
)
def test_a_head_that_arrives_whole_is_for_the_parser_up_to_twice_the_limits(before, wire, excess):
    scanner, wire = Scanner(LIMITS), before + wire
    assert all_taken(scanner, wire) == ((b"", False) if excess else (wire, True))
    assert scanner.excess is excess


def test_nor_is_it_for_the_parser_where_only_its_end_came_at_once():
    scanner, tail = Scanner(LIMITS), b"b\r\n" + b"A:b\r\n" * 11 + b"\r\n"
    assert all_taken(scanner, LINE + b"A:") == (b"", True)
    assert all_taken(scanner, tail) == (b"", False)
    assert scanner.excess is Excess.FIELDS


def test_a_long_target_that_comes_byte_by_byte_takes_linear_time():
    scanner, begun_s = Scanner(HeadLimits(2**17, 100)), process_time()
    for byte in b"GET /" + b"a" * (2**17 - 1):
        scanner.take(bytes([byte]))
    assert process_time() - begun_s < 5
    assert scanner.excess is None
