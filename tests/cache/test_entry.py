import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.facts import Facts, Inactive
from gateway.cache.entry import StoredEntry, decode, encode

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
answers = st.builds(Inactive, st.floats(0, 4e9)) | st.builds(
    Facts,
    st.dictionaries(st.text(), json_values, max_size=4),
    st.floats(0, 4e9),
    st.none() | st.floats(0, 4e9),
    st.none() | st.integers(0, 4_000_000_000),
    st.frozensets(st.text(max_size=5)),
)
entries = st.builds(
    StoredEntry,
    answers,
    st.integers(0, 10**7),
    st.integers(1, 10**7),
    st.binary(max_size=24),
    st.binary(max_size=16),
    st.integers(0, 10**7),
)

NOW = 1_700_000_000.0


def stored(age_ms: int = 500, left_ms: int = 60_000, introspected_at: float = NOW) -> StoredEntry:
    return StoredEntry(Facts({"sub": "alice"}, introspected_at, exp=NOW + 99), age_ms, left_ms, b"known")


@given(entries)
def test_an_entry_survives_the_way_through_redis(entry: StoredEntry) -> None:
    assert decode(encode(entry)) == entry


def test_a_lone_surrogate_survives_too() -> None:
    entry = StoredEntry(Facts({"name": "\ud800"}, NOW), 0, 1, b"")
    assert decode(encode(entry)) == entry


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"active":true}',
        b'{"active":false,"at":1}',
        b'{"active":true,"at":1,"claims":{},"scopes":[{}],"exp":null,"nbf":null,"age":1,"left":1,"known":"","call":""}',
        b'{"active":false,"at":1,"age":1,"left":1,"known":"zz","call":""}',
        b"\xff",
        *(
            b'{"active":true,"at":1,"claims":{},"scopes":[],"exp":null,"nbf":null,"age":1,"left":1,"known":"","call":"",%b}'
            % lie
            for lie in (
                b'"x":1e999',
                b'"x":NaN',
                b'"at":1',
                b'"x":{"a":1,"a":1}',
            )
        ),
        *(
            b'{"active":true,"claims":{},"scopes":[],"known":"","call":"","nbf":null,%b}' % lie
            for lie in (
                b'"at":"1","exp":null,"age":1,"left":1',
                b'"at":true,"exp":null,"age":1,"left":1',
                b'"at":1,"exp":"soon","age":1,"left":1',
                b'"at":1,"exp":1e300,"age":1,"left":1',
                b'"at":1,"exp":null,"age":1.5,"left":1',
                b'"at":1,"exp":null,"age":1%b,"left":1' % (b"0" * 400),
                b'"at":1,"exp":null,"age":1,"left":"1"',
                b'"at":1,"exp":null,"age":1',
                b'"at":1,"exp":null,"age":1,"left":1,"kept":"9"',
                b'"at":1,"exp":null,"age":1,"left":1,"kept":true',
                b'"at":1,"exp":null,"age":1,"left":1,"kept":1%b' % (b"0" * 400),
            )
        ),
    ],
)
def test_what_another_version_wrote_is_nothing(text: bytes) -> None:
    assert decode(text) is None


def test_the_age_is_told_by_what_redis_has_counted_down() -> None:
    recalled = stored().recalled(left_ms=45_000, now=NOW + 15)
    assert recalled is not None
    assert (recalled.age_s, recalled.left_s) == (15.5, 45.0)


@pytest.mark.parametrize("apart_s", [-300.0, 0.0, 300.0])
def test_clocks_five_minutes_apart_do_not_change_it(apart_s: float) -> None:
    recalled = stored().recalled(left_ms=45_000, now=NOW + 15 + apart_s)
    assert recalled is not None
    assert (recalled.age_s, recalled.left_s) == (15.5, 45.0)
    assert recalled.answer.introspected_at == NOW + 15 + apart_s - 15.5  # by the reader's clock


@pytest.mark.parametrize("left_ms", [-2, -1, 0, 60_001])
def test_a_time_that_redis_cannot_have_left_is_a_lie(left_ms: int) -> None:
    assert stored().recalled(left_ms, NOW) is None


def test_what_was_put_back_long_after_is_not_taken() -> None:
    assert stored().recalled(left_ms=60_000, now=NOW + 3600) is None


def test_what_is_kept_longer_is_told_apart_from_what_is_good() -> None:
    entry = StoredEntry(Facts({"sub": "alice"}, NOW), 500, 60_000, b"known", kept_ms=360_000)
    fresh = entry.recalled(left_ms=315_000, now=NOW + 45.5)
    assert fresh is not None
    assert (fresh.age_s, fresh.left_s, fresh.kept_s) == (45.5, 15.0, 315.0)
    known = entry.recalled(left_ms=100_000, now=NOW + 260.5)
    assert known is not None
    assert (known.age_s, known.left_s, known.kept_s) == (260.5, 0.0, 100.0)
    assert entry.recalled(left_ms=360_001, now=NOW) is None
