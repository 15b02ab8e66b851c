import io

import pytest

from gateway.demo.places import Places
from gateway.demo.transcript import Transcript

ESCAPE = "\x1b"


class Terminal(io.TextIOWrapper):
    def __init__(self, encoding: str = "utf-8", *, is_terminal: bool = True) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def text(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)


def spoken(stream: Terminal, environ: dict[str, str]) -> str:
    transcript = Transcript(stream, environ)
    transcript.opening(Places())
    transcript.step(1, "A step")
    transcript.did("GET /", "X-A: 1")
    transcript.came("200", "more")
    transcript.passed("as it should")
    transcript.failed("this", "that")
    transcript.closing("the end", is_good=True)
    transcript.guide(Places())
    transcript.stopped()
    return stream.text()


def test_a_terminal_gets_colour():
    assert ESCAPE in spoken(Terminal(), {"TERM": "xterm"})


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1", "TERM": "xterm"}, {"TERM": "dumb"}])
def test_a_terminal_that_wants_none_gets_none(environ):
    assert ESCAPE not in spoken(Terminal(), environ)


def test_an_empty_no_color_asks_for_nothing():
    assert ESCAPE in spoken(Terminal(), {"NO_COLOR": "", "TERM": "xterm"})


def test_a_pipe_gets_the_same_lines_without_colour():
    plain = spoken(Terminal(is_terminal=False), {"TERM": "xterm"})
    assert plain == spoken(Terminal(), {"NO_COLOR": "1"})
    assert "   ✓ as it should\n   ✗ expected: this\n     came: that\n" in plain


def test_an_encoding_without_check_marks_gets_words():
    plain = spoken(Terminal("iso-8859-1", is_terminal=False), {})
    assert "   ok: as it should\n   FAILED: expected: this\n" in plain


def test_what_the_encoding_cannot_say_does_not_stop_it():
    stream = Terminal("ascii", is_terminal=False)
    Transcript(stream, {}).came("200 Zoë…")
    assert stream.text() == "   < 200 Zo??\n"
