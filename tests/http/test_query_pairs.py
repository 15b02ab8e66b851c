import pytest

from gateway.http.query_pairs import query_values, without_parameters


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("access_token=a", [b"a"]),
        ("x=1&access_token=a%2Bb&y=2", [b"a+b"]),
        ("access%5Ftoken=a&acces%73_token=b&access_token=c", [b"a", b"b", b"c"]),
        ("access_token=a+b", [b"a+b"]),
        ("Access_Token=a&access_token[]=b&xaccess_token=c", []),
        ("access_token", [b""]),
        ("access_token=%FF", [b"\xff"]),
        ("a=access_token=b", []),
        ("", []),
    ],
)
def test_every_parameter_of_the_name_is_found(query, values) -> None:
    assert query_values(query, "access_token") == values


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("access_token=a", None),
        ("x=%20&access_token=a&y=", "x=%20&y="),
        ("acces%73%5ftoken=a&access_token=b&x=1", "x=1"),
        ("x=1&&y=2", "x=1&&y=2"),
        ("access_token=a&", None),
        ("token=a", "token=a"),
        ("", ""),
    ],
)
def test_only_these_parameters_are_taken_out_and_the_rest_stays_byte_for_byte(query, left) -> None:
    assert without_parameters(query, ("access_token",)) == left
