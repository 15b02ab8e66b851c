import json
import logging
import os
import subprocess
import sys
import warnings

import pytest
from support.configuration import ROUTE, loaded
from support.running_gateway import Lines as KeptLines

from gateway.observe.log import JsonLines, configure_logging
from gateway.observe.observation import Observation


class Lines(list):
    write = list.append

    def read(self):
        return [json.loads(line) for line in self]


@pytest.fixture
def lines():
    """What is logged between a call of `configure_logging` and the end of the test; the logging is put back."""
    root, ours, access = (logging.getLogger(name) for name in (None, "gateway", "aiohttp.access"))
    before = (root.level, root.handlers[:], ours.level, access.disabled)
    yield Lines()
    root.level, root.handlers[:], ours.level, access.disabled = before
    logging.captureWarnings(False)
    logging.getLogger("py.warnings").handlers.clear()
    for logger in (root, ours):
        logger.setLevel(logger.level)  # forgets what was cached about levels


def test_an_event_is_a_line_with_its_fields(lines):
    configure_logging("info", lines)
    logging.getLogger("gateway.proxy").warning(
        "worker %d ended", 7, extra={"event": "worker_ended", "fields": {"pid": 7, "reason": "killed"}}
    )
    (line,) = lines.read()
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "event": "worker_ended",
        "logger": "gateway.proxy",
        "message": "worker 7 ended",
        "pid": 7,
        "reason": "killed",
    }


def test_each_line_says_which_process_wrote_it(lines):
    configure_logging("info", lines)
    logging.getLogger("gateway").info("x")
    cannot_be_formatted = logging.makeLogRecord({"msg": "a %d", "args": ("b",)})
    JsonLines(lines).emit(cannot_be_formatted)
    assert [line["pid"] for line in lines.read()] == [os.getpid()] * 2


def test_a_field_never_replaces_what_every_line_has(lines):
    configure_logging("info", lines)
    logging.getLogger("gateway").info("x", extra={"event": "real", "fields": {"event": "forged", "level": "forged"}})
    assert (lines.read()[0]["event"], lines.read()[0]["level"]) == ("real", "info")


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_is_a_threshold(lines, level, heard):
    configure_logging(level, lines)
    for each in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("gateway.x"), each)("said")
    assert [line["level"] for line in lines.read()] == heard


@pytest.mark.parametrize("library", ["aiohttp.server", "redis", "asyncio"])
def test_libraries_are_heard_from_warnings_on_even_when_we_are_debugged(lines, library):
    configure_logging("debug", lines)
    logging.getLogger(library).debug("noise")
    logging.getLogger(library).info("noise")
    logging.getLogger(library).warning("trouble")
    (line,) = lines.read()
    assert (line["event"], line["logger"], line["message"]) == ("log", library, "trouble")


def test_aiohttps_own_access_log_with_its_queries_is_silent(lines):
    configure_logging("debug", lines)
    logging.getLogger("aiohttp.access").error("GET /?access_token=secret")
    assert lines == []


def test_configuring_again_replaces_what_was_before(lines):
    other = Lines()
    configure_logging("info", other)
    configure_logging("error", lines)
    logging.getLogger("gateway").warning("too quiet now")
    logging.getLogger("gateway").error("once")
    assert other == []
    assert [line["message"] for line in lines.read()] == ["once"]


def test_a_traceback_shows_the_way_and_no_values(lines):
    configure_logging("info", lines)

    def fail(token):
        raise RuntimeError(f"it was {len(token)} long")

    opaque = "opaque-token-of-somebody"
    try:
        fail(opaque)
    except RuntimeError:
        logging.getLogger("gateway").exception("failed", extra={"event": "failed"})
    (line,) = lines.read()
    assert "in fail" in line["traceback"]
    assert "RuntimeError: it was 24 long" in line["traceback"]
    assert opaque not in line["traceback"]
    assert lines[0].count(b"\n") == 1


JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abc.def-123", "abc.def-123"),
        ("{'Authorization': 'bearer abc.def-123'}", "abc.def-123"),
        ("Basic Z2F0ZXdheTpzZWNyZXQ=", "Z2F0ZXdheTpzZWNyZXQ="),
        (f"cannot parse {JWT}", JWT),
        ("redis://user:pa%24s@redis:6379/0 is gone", "pa%24s"),
        ("redis://:hunter2@redis:6379/0", "hunter2"),
        ("POST token=opaque1234&token_type_hint=access_token", "opaque1234"),
        ("client_secret=hush-hush&grant_type=password", "hush-hush"),
        ("{'client_secret': 'hush-hush'}", "hush-hush"),
        ('{"refresh_token": "opaque1234"}', "opaque1234"),
        ("password=hunter22", "hunter22"),
        ("the provider said: configured-secret is wrong", "configured-secret"),
        ("longer: configured-secret-and-more", "-and-more"),
    ],
)
@pytest.mark.parametrize("where", ["message", "argument", "field", "traceback"])
def test_no_secret_reaches_the_log_whatever_quotes_it(lines, text, secret, where):
    configure_logging("info", lines, ["configured-secret", "configured-secret-and-more", ""])
    logger = logging.getLogger("redis")
    match where:
        case "message":
            logger.error(text.replace("%", "%%"))
        case "argument":
            logger.error("broken: %s", text)
        case "field":
            logger.error("broken", extra={"fields": {"detail": text}})
        case "traceback":
            logger.error("broken", exc_info=ValueError(text))
    (line,) = lines
    assert secret.encode() not in line
    assert b"[redacted]" in line


def test_ordinary_words_stay_readable(lines):
    configure_logging("info", lines, ["short"])
    text = "the token endpoint of https://sso.example.com/realms/demo refused a short request: invalid_grant"
    logging.getLogger("gateway").info(text)
    assert lines.read()[0]["message"] == text


def test_a_record_that_cannot_be_formatted_is_logged_as_such_and_raises_nothing(lines):
    record = logging.LogRecord("redis", logging.ERROR, "redis.py", 7, "%d", ("no number",), None)
    JsonLines(lines).handle(record)
    assert lines.read()[0]["event"] == "log_failed"


def test_warnings_of_python_are_lines_too(lines):
    configure_logging("info", lines)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert "DeprecationWarning: old" in lines.read()[0]["message"]


LOGGING = """
import logging
from gateway.observe.log import configure_logging, standard_output
configure_logging("info", standard_output())
logging.getLogger("gateway").info("bye", extra={"event": "bye"})
"""


def test_the_last_line_before_the_end_of_the_process_is_written():
    done = subprocess.run([sys.executable, "-c", LOGGING], capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout)["event"] == "bye"


def test_a_closed_standard_output_is_no_error():
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, LOGGING], capture_output=True, timeout=60, check=True
    )
    assert done.stderr == b""


def test_only_our_handler_is_installed():
    assert not any(isinstance(handler, JsonLines) for handler in logging.getLogger().handlers)


@pytest.mark.parametrize("quoted", ["http://me:word-of-proxy@proxy:3128", "the proxy did not take word-of-proxy"])
def test_the_password_of_a_providers_proxy_is_known_as_a_secret(lines, quoted):
    del lines  # it puts the logging back
    kept = KeptLines()
    provider = "issuer: https://sso.example.com, client_id: gw, client_secret: hush-hush"
    proxy = "proxy: 'http://me:word-of-proxy@proxy:3128'"
    Observation(kept).configure(loaded(f"providers: {{p: {{{provider}, {proxy}}}}}\n{ROUTE}"))
    logging.getLogger("aiohttp.client").warning(quoted)
    (line,) = kept.all
    assert "word-of-proxy" not in line["message"]
