"""Methods of a route: what is served can be named, and nothing else."""

import pytest

from gateway.config.wire_values import parse_method


@pytest.mark.parametrize("method", ["GET", "LIST", "BREW", "VERSION-CONTROL", "M-SEARCH", "X"])
def test_any_token_is_one(method):
    assert parse_method(method) == method


@pytest.mark.parametrize("method", ["*", "get", "List", "CONNECT", "TRACE", "PRI", "A B", "", "GET,POST", None, 1])
def test_what_is_never_served_is_an_error(method):
    with pytest.raises(ValueError, match=r"write|leave"):
        parse_method(method)
