import pytest

from gateway.authn.leeway import leeway_s


@pytest.mark.parametrize(
    ("configured_s", "issued_at", "nbf", "allowed_s"),
    [
        (3.0, 100, 100.0, 3.0),
        (0.0, 100, 100.0, 0.0),  # written, so it counts
        (None, 100, 100.0, 5.0),
        (None, 99, 100.0, 5.0),
        (None, 98.9, 100.0, 0.0),
        (None, None, 100.0, 0.0),
        (None, True, 1.0, 0.0),
        (None, "100", 100.0, 0.0),
        (None, 100, None, 0.0),
    ],
)
def test_only_a_written_leeway_or_an_nbf_at_the_moment_of_issue_gives_any(configured_s, issued_at, nbf, allowed_s):
    assert leeway_s(configured_s, issued_at, nbf) == allowed_s
