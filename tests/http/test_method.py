import pytest

from gateway.http.method import is_look_alike


@pytest.mark.parametrize("method", ["get", "Get", "trace", "cONNECT", "version-control", "Propfind"])
def test_a_registered_method_in_another_case_is_a_look_alike(method):
    assert is_look_alike(method)


@pytest.mark.parametrize("method", ["GET", "TRACE", "LIST", "list", "GETT", "VERSION-CONTROL", "x"])
def test_any_other_token_is_a_method(method):
    assert not is_look_alike(method)
