import pytest

from gateway.http.framing import request_problem


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
