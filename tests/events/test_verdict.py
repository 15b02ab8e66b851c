import logging

import pytest

from gateway.events.jws import EventError
from gateway.events.verdict import EventLog, Verdict, refused

JUNK = refused(EventError("invalid_request", "this is not a token in compact form"))
PRESSED_OUT = Verdict("turned_away", why="too many events are under way")
MISADDRESSED = refused(EventError("invalid_audience", "it is meant for somebody else", hint="write it under audience"))
GENUINE = Verdict("evicted", ("logout",), "here", "e1")


class Written:
    """A log whose clock is set by hand."""

    def __init__(self, caplog):
        caplog.set_level(logging.INFO)
        self.now_s = 0.0
        self.log = EventLog(lambda: self.now_s)
        self._caplog = caplog

    def lines_of(self, *verdicts):
        self._caplog.clear()
        for verdict in verdicts:
            self.log.write("logout", verdict)
        return self._caplog.records


@pytest.fixture
def written(caplog):
    return Written(caplog)


@pytest.mark.parametrize("junk", [JUNK, PRESSED_OUT])
def test_a_flood_of_forgeries_does_not_flood_the_log(written, junk):
    assert len(written.lines_of(*[junk] * 1000)) == 100
    written.now_s += 10
    told = written.lines_of(*[junk] * 1000)
    assert len(told) == 10
    assert [line.fields.get("left_out") for line in told[:2]] == [900, None]


def test_each_genuine_event_is_logged_in_the_middle_of_a_flood(written):
    written.lines_of(*[JUNK] * 1000)
    assert len(written.lines_of(*[GENUINE] * 500)) == 500
    [told] = written.lines_of(JUNK, MISADDRESSED)
    assert (told.levelname, told.fields["reason"]) == ("WARNING", "write it under audience")
