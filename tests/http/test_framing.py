import pytest

from gateway.http.framing import answer_problem, has_body, request_problem


@pytest.mark.parametrize(
    ("status", "version", "headers"),
    [
        (200, (1, 1), [("Content-Length", "5"), ("Transfer-Encoding", "chunked")]),
        (200, (1, 1), [("Content-Length", "5"), ("Content-Length", "5")]),
        (200, (1, 1), [("Content-Length", "5,5")]),
        (200, (1, 1), [("Content-Length", "-1")]),
        (200, (1, 1), [("Content-Length", "")]),
        (200, (1, 1), [("Content-Length", "1" * 19)]),
        (200, (1, 1), [("Transfer-Encoding", "gzip, chunked")]),
        (200, (1, 1), [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")]),
        (200, (1, 0), [("Transfer-Encoding", "chunked")]),
        (200, (1, 1), [("X", "a\0b")]),
        (999, (1, 1), []),
        (200, (2, 0), []),
        (200, (0, 9), []),
        (200, (1, 1), [("Content-Length ", "5")]),
        (200, (1, 1), [("", "5")]),
        (103, (1, 1), [("X-A", "a\rb")]),
        (200, (1, 1), [("X-A", "a" * 2**16)]),
        (200, (1, 1), [("X-A", "a" * 700)] * 100),
    ],
)
def test_an_answer_that_two_could_frame_differently_is_a_problem(status, version, headers) -> None:
    assert answer_problem(status, version, headers)


@pytest.mark.parametrize("headers", [[], [("Content-Length", "5")], [("Transfer-Encoding", "Chunked")]])
def test_ordinary_framing_is_none(headers) -> None:
    assert answer_problem(200, (1, 1), headers) is None


def test_some_answers_have_no_body_whatever_they_say() -> None:
    assert has_body("GET", 200)
    assert not has_body("HEAD", 200)
    assert not has_body("GET", 204)
    assert not has_body("GET", 304)
    assert not has_body("GET", 103)


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ((1, 1), [("Content-Length", "5"), ("Transfer-Encoding", "chunked")]),
        ((1, 1), [("Content-Length", "5"), ("content-length", "5")]),
        ((1, 1), [("Transfer-Encoding", "gzip, chunked")]),
        ((1, 1), [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "identity")]),
        ((1, 1), [("Transfer-Encoding", "\x0bchunked")]),
        ((1, 0), [("Transfer-Encoding", "chunked")]),
        *(((1, 1), [("Content-Length", value)]) for value in
          ("", "+5", "-5", "0x5", "5,5", "5 5", "1_0", "\u0665", "\u00b2", "9" * 20)),
    ],
)  # fmt: skip
def test_a_request_that_two_could_frame_differently_is_a_problem(version, headers) -> None:
    assert request_problem(version, headers)


@pytest.mark.parametrize("headers", [[], [("Content-Length", "005")], [("Transfer-Encoding", "CHUNKED")]])
def test_an_ordinarily_framed_request_is_none(headers) -> None:
    assert request_problem((1, 1), headers) is None
