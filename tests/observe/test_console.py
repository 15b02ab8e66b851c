import json
import os
import pty
import re
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.served import COMMAND, STOP_WITHIN_S

from gateway.observe.access_log import access_line
from gateway.observe.console import console_line
from gateway.observe.lines import LineWriter, json_line
from gateway.proxy.access_record import AccessRecord

TIME = "2026-01-31T12:00:00.123Z"
COLOUR = re.compile(r"\x1b\[[0-9]+m")


def shown(colours=False, **values):
    return console_line(json_line({"time": TIME, **values}), colours=colours).decode()


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"level": "info", "event": "serving", "logger": "gateway.service", "message": "serving", "workers": 2},
            "12:00:00.123  info     serving  serving  workers=2\n",
        ),
        (
            {"level": "warning", "event": "redis_away", "message": "redis is away", "reason": 'it said "NOAUTH"'},
            '12:00:00.123  warning  redis_away  redis is away  reason="it said \\"NOAUTH\\""\n',
        ),
        (
            {"level": "error", "event": "log", "logger": "asyncio", "message": "a task failed", "traceback": "a\n  b"},
            "12:00:00.123  error    asyncio  a task failed\n    a\n      b\n",
        ),
        (
            {
                "level": "info",
                "event": "request",
                "method": "GET",
                "path": "/o/7",
                "status": 401,
                "duration_ms": 2.04,
                "route": "orders",
                "code": "invalid_token",
                "reason": "aud is [a]",
                "backend": None,
                "request_id": "1f",
                "bytes_sent": 3,
            },
            '12:00:00.123  info     401  GET /o/7  2.0 ms  route=orders  code=invalid_token  reason="aud is [a]"\n',
        ),
    ],
)
def test_what_is_shown(values, line):
    assert shown(**values) == line


def test_colours_tell_levels_and_kinds_of_statuses():
    colours = [
        *(COLOUR.findall(shown(True, level=level, event="e"))[2:3] for level in ("info", "warning", "error")),
        *(
            COLOUR.findall(shown(True, level="info", event="request", status=code))[2:3]
            for code in (200, 302, 404, 503)
        ),
    ]
    assert colours == [[], ["\x1b[33m"], ["\x1b[31m"], ["\x1b[32m"], ["\x1b[36m"], ["\x1b[33m"], ["\x1b[31m"]]
    assert COLOUR.sub("", shown(True, level="error", event="e")) == shown(level="error", event="e")


def test_a_real_access_line_is_read():
    record = AccessRecord("id", "GET", "/a", "10.0.0.1", 1.0)
    assert console_line(access_line(record), colours=False).startswith(b"00:00:01.000  info")


def test_what_is_not_json_comes_escaped():
    assert console_line(b"\x1b[2J plain\n", colours=False) == b"\\x1b[2J plain\n"


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())), st.booleans())
def test_no_value_reaches_the_terminal_as_a_control(values, colours):
    # A subject or a reason may hold what clears the screen, or rewrites the line above (CWE-150).
    out = console_line(json.dumps(values).encode() + b"\n", colours=colours).decode()
    assert out.endswith("\n")
    assert COLOUR.sub("", out).replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("form", "is_terminal", "environ", "is_json", "has_colours"),
    [
        ("auto", True, {}, False, True),
        ("auto", False, {}, True, False),
        ("json", True, {}, True, False),
        ("console", False, {}, False, False),
        ("console", True, {"NO_COLOR": "1"}, False, False),
        ("console", True, {"TERM": "dumb"}, False, False),
    ],
)
def test_the_form_follows_the_setting_and_the_terminal(monkeypatch, form, is_terminal, environ, is_json, has_colours):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    reading, writing = pty.openpty() if is_terminal else os.pipe()
    try:
        writer = LineWriter(writing)
        writer.write_as(form)
        writer.write(json_line({"time": TIME, "level": "error", "event": "e"}))
        writer.close()
        line = os.read(reading, 4096)
        assert (line.startswith(b"{"), b"\x1b[31m" in line) == (is_json, has_colours)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_gateway_at_a_terminal_speaks_to_people(tmp_path, workers):
    path = tmp_path / "gateway.yaml"
    route = {"name": "r", "match": {"path": "/**"}, "backend": "http://127.0.0.1:1", "auth": "none"}
    server = {"listen": "127.0.0.1:0", "workers": workers}
    path.write_text(json.dumps({"server": server, "admin": {"listen": "127.0.0.1:0"}, "routes": [route]}))
    terminal, other_end = pty.openpty()
    process = subprocess.Popen([COMMAND, "serve", str(path)], stdin=subprocess.DEVNULL, stdout=other_end)
    os.close(other_end)
    try:
        said = b""
        deadline = time.monotonic() + 60
        while b"serving  serving" not in COLOUR.sub("", said.decode()).encode():
            assert time.monotonic() < deadline, said
            said += os.read(terminal, 4096)
    finally:
        process.terminate()
        _drained(terminal)
        process.wait(STOP_WITHIN_S)
        os.close(terminal)
    assert b"listen=127.0.0.1:" in said
    assert b'{"time"' not in said  # nor from a worker


def _drained(terminal):
    """Read to the end, so that nobody waits for the terminal."""
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:  # the other end is closed
        return
