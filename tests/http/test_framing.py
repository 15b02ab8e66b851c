import pytest

from gateway.http.response import framing_problem, has_body


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
    ],
)
def test_an_answer_that_two_could_frame_differently_is_a_problem(status, version, headers) -> None:
    assert framing_problem(status, version, headers)


@pytest.mark.parametrize("headers", [[], [("Content-Length", "5")], [("Transfer-Encoding", "Chunked")]])
def test_ordinary_framing_is_none(headers) -> None:
    assert framing_problem(200, (1, 1), headers) is None


def test_some_answers_have_no_body_whatever_they_say() -> None:
    assert has_body("GET", 200)
    assert not has_body("HEAD", 200)
    assert not has_body("GET", 204)
    assert not has_body("GET", 304)
    assert not has_body("GET", 103)
