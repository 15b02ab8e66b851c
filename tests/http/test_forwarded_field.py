import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.forwarded_field import read_forwarded


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        ("for=192.0.2.43", [{"for": "192.0.2.43"}]),
        ("For=192.0.2.43;Proto=https;BY=_x", [{"for": "192.0.2.43", "proto": "https", "by": "_x"}]),
        ('for="[2001:db8::1]:4711"', [{"for": "[2001:db8::1]:4711"}]),
        ("for=192.0.2.43:80 , for=unknown", [{"for": "192.0.2.43:80"}, {"for": "unknown"}]),
        ("for=[2001:db8::1]:80", [{"for": "[2001:db8::1]:80"}]),
        ('for="a, b;c";proto=http, for="q\\"q"', [{"for": "a, b;c", "proto": "http"}, {"for": 'q"q'}]),
        ("for=a; proto=b;", [{"for": "a", "proto": "b"}]),
        (", for=a,, ;", [{"for": "a"}]),
        ("", []),
    ],
)
def test_elements_are_read_as_they_are_written(value, elements) -> None:
    assert read_forwarded([value], 32) == elements


@pytest.mark.parametrize(
    "value", ['for="a', 'for=a"', "for", "for=", "for=a for=b", "for=a;for=b", "=a", ' for = "a"', 'for="a"b']
)
def test_what_is_broken_says_nothing(value) -> None:
    assert read_forwarded([value], 32) == []


def test_several_fields_are_one_list_and_the_last_elements_count() -> None:
    assert read_forwarded(["for=a", "for=b, for=c"], 2) == [{"for": "b"}, {"for": "c"}]


def test_a_broken_field_hides_those_before_it_and_none_behind_it() -> None:
    assert read_forwarded(["for=a", 'for="', "for=b"], 32) == [{"for": "b"}]
    assert read_forwarded(["for=b", 'for="'], 32) == []


@pytest.mark.parametrize(
    "written",
    ['for="', 'for=b, for="c, d', 'for="b, for=c', "for=b for=c", ";" * 300, ",;" * 16_000, "for=b," * 300 + "x"],
)
def test_what_a_client_wrote_does_not_hide_what_a_proxy_appended_to_it(written: str) -> None:
    appended = "for=192.0.2.1;proto=https, for=10.0.0.2"
    ours = [{"for": "192.0.2.1", "proto": "https"}, {"for": "10.0.0.2"}]
    assert read_forwarded(["for=a", f"{written}, {appended}"], 32)[-2:] == ours


def test_a_field_of_nothing_but_separators_is_not_read_to_its_end() -> None:
    assert read_forwarded(["for=a" + ";" * 200], 32) == [{"for": "a"}]
    assert read_forwarded(["for=a" + ";" * 300], 32) == []


@given(st.text(st.sampled_from('for=;," \\a:[]'), max_size=40))
def test_whatever_comes_is_read_or_not(value: str) -> None:
    for element in read_forwarded([value], 3):
        assert all(name == name.lower() for name in element)


def test_a_long_one_costs_no_more_than_its_length() -> None:
    assert len(read_forwarded(['for="' + "\\a" * 16_000 + '"'], 32)) == 1
    assert len(read_forwarded(["for=a," * 8_000 + "for=a"], 32)) == 32
    assert read_forwarded([" " * 32_000 + "x"], 32) == []
