import errno
import fcntl
import json
import os
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.lines import PIPE_ATOMIC_BYTES, LineWriter, json_line, rfc3339


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    ends = {"reading": reading, "writing": writing}
    yield ends
    for fd in ends.values():
        os.close(fd)


def until(true):
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def read_lines(fd, count):
    got = b""
    while got.count(b"\n") < count:
        got += os.read(fd, 65536)
    return got.splitlines()


def test_lines_arrive_whole_and_in_order(pipe):
    writer = LineWriter(pipe["writing"], batch_s=0.01)
    for n in range(1000):
        writer.write(json_line({"n": n}))
    assert [json.loads(line)["n"] for line in read_lines(pipe["reading"], 1000)] == list(range(1000))
    writer.close()
    assert writer.dropped == 0


def test_closing_writes_what_is_waiting(tmp_path):
    path = tmp_path / "log"
    with path.open("wb") as file:
        writer = LineWriter(file.fileno(), batch_s=60)
        writer.write(b"last words\n")
        writer.close(timeout_s=30)
    assert path.read_bytes() == b"last words\n"


def test_a_reader_that_does_not_read_costs_lines_but_never_the_worker(pipe):
    writer = LineWriter(pipe["writing"], buffer_bytes=10_000, batch_s=0.01)
    before = time.monotonic()
    for n in range(5000):
        writer.write(json_line({"n": n, "fill": "x" * 200}))
    assert time.monotonic() - before < 10
    assert writer.dropped > 1000
    before = time.monotonic()
    writer.close(timeout_s=0.1)
    assert time.monotonic() - before < 10
    # It is read again: what was kept arrives whole, and what was lost is said.
    got = b""
    while b"log_lines_dropped" not in got or not got.endswith(b"\n"):
        got += os.read(pipe["reading"], 65536)
    lines = [json.loads(line) for line in got.splitlines()]
    kept = [line["n"] for line in lines if "n" in line]
    lost = sum(line["count"] for line in lines if "count" in line)
    assert kept == sorted(kept)
    assert len(kept) + lost == 5000


def test_a_reader_that_has_gone_costs_lines_but_never_the_worker():
    reading, writing = os.pipe()
    os.close(reading)
    writer = LineWriter(writing, batch_s=0.01)
    writer.write(b"one\n")
    writer.write(b"two\n")
    until(lambda: writer.dropped == 2)
    writer.write(b"three\n")
    until(lambda: writer.dropped >= 3)
    writer.close()
    os.close(writing)


def test_no_standard_output_is_no_error():
    writer = LineWriter(None)
    writer.write(b"one\n")
    writer.close()
    assert writer.dropped == 1


def test_a_descriptor_that_was_made_non_blocking_loses_nothing(pipe):
    os.set_blocking(pipe["writing"], False)
    writer = LineWriter(pipe["writing"], batch_s=0.01)
    for n in range(1000):
        writer.write(json_line({"n": n, "fill": "x" * 500}))
    time.sleep(0.1)  # long enough to fill the pipe
    assert len(read_lines(pipe["reading"], 1000)) == 1000
    writer.close()
    assert writer.dropped == 0


def test_lines_of_several_writers_into_one_pipe_are_never_mixed(pipe):
    fcntl.fcntl(pipe["writing"], fcntl.F_SETPIPE_SZ, 4096)
    writers = [LineWriter(pipe["writing"], batch_s=0.001) for _ in range(3)]
    for n in range(300):
        for which, writer in enumerate(writers):
            writer.write(json_line({"writer": which, "n": n, "fill": str(which) * (n * 10)}))
    seen = {0: [], 1: [], 2: []}
    for line in read_lines(pipe["reading"], 900):
        value = json.loads(line)
        assert value["fill"] == str(value["writer"]) * (value["n"] * 10)
        seen[value["writer"]].append(value["n"])
    assert set(map(tuple, seen.values())) == {tuple(range(300))}
    for writer in writers:
        writer.close()


def test_lines_may_come_from_any_thread(pipe):
    writer = LineWriter(pipe["writing"], batch_s=0.01)
    threads = [threading.Thread(target=lambda: [writer.write(b'{"a":1}\n') for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert len(read_lines(pipe["reading"], 800)) == 800
    for thread in threads:
        thread.join()
    writer.close()


LONG = st.text("\x00é\ud800\U0001f600", min_size=1, max_size=3).map(lambda text: text * 2000)


@given(st.dictionaries(st.sampled_from("abcdefghij"), st.text(max_size=40) | LONG))
def test_a_line_is_one_line_of_json_that_one_write_can_hold(values):
    line = json_line(values)
    assert len(line) <= PIPE_ATOMIC_BYTES
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    read = json.loads(line)
    assert read.keys() == values.keys()


def test_a_text_that_is_too_long_loses_its_middle():
    value = json.loads(json_line({"traceback": "first line " + "x" * 10_000 + " the error itself"}))["traceback"]
    assert value.startswith("first line ")
    assert value.endswith(" the error itself")


def test_a_line_that_cannot_be_made_to_fit_says_so():
    value = json.loads(json_line({f"key {n}": "x" * 100 for n in range(500)}))
    assert value["event"] == "log_line_too_long"


def test_times_are_utc_with_milliseconds():
    assert rfc3339(1_700_000_000.1239) == "2023-11-14T22:13:20.123Z"
    assert rfc3339(1_700_000_000) == "2023-11-14T22:13:20.000Z"


def test_a_disk_that_is_full_is_told_of_once_on_standard_error(capfd):
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - no file to be read
        writer = LineWriter(full.fileno(), batch_s=0.01)
        for _ in range(3):
            lost = writer.dropped
            writer.write(b"one\n")
            until(lambda lost=lost: writer.dropped > lost)
        writer.close()
    assert capfd.readouterr().err == (
        "gateway: the log cannot be written: No space left on device; lines are lost until it can\n"
    )
    assert writer.snapshot() == {"counters": {"gateway_log_lines_dropped_total": [[[], writer.dropped]]}}


def test_when_lines_can_be_written_again_the_log_says_what_it_lost_and_why(tmp_path, monkeypatch, capfd):
    path = tmp_path / "log"
    is_full = True
    write = os.write

    def write_if_there_is_room(fd, data):
        if is_full and fd != 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data)

    monkeypatch.setattr(os, "write", write_if_there_is_room)
    with path.open("wb") as file:
        writer = LineWriter(file.fileno(), batch_s=0.01)
        writer.write(b"lost\n")
        until(lambda: writer.dropped == 1)
        is_full = False
        writer.write(b'{"n":1}\n')
        writer.close(timeout_s=30)
    kept, said = map(json.loads, path.read_text().splitlines())
    assert kept == {"n": 1}
    assert (said["event"], said["count"], said["reason"]) == ("log_lines_dropped", 1, "No space left on device")
    assert capfd.readouterr().err.count("\n") == 1
