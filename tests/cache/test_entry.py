import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.facts import Facts, Inactive
from gateway.cache import entry_form
from gateway.cache.entry import StoredEntry
from gateway.cache.entry_form import decode, encode
from gateway.introspection.invalidation import TOKEN_CLAIMS

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
    st.none() | st.text(),
)
entries = st.builds(
    StoredEntry,
    answers,
    st.integers(0, 10**7),
    st.integers(1, 10**7),
    st.binary(max_size=24),
    st.binary(max_size=16),
    st.integers(0, 10**7),
    st.booleans(),
    st.lists(st.binary(min_size=16, max_size=16), max_size=5).map(tuple),
)

NOW = 1_700_000_000.0
SKEW_S = 2.0


def stored(age_ms: int = 500, left_ms: int = 60_000, introspected_at: float = NOW) -> StoredEntry:
    """Asked for half a second before it was written."""
    return StoredEntry(Facts({"sub": "alice"}, introspected_at, exp=NOW + 99), age_ms, left_ms, b"known")


@given(entries)
def test_an_entry_survives_the_way_through_redis(entry: StoredEntry) -> None:
    assert decode(encode(entry)) == entry


def test_the_phantom_token_survives_the_way_through_redis_as_well() -> None:
    """The writer seals, with its own clock, what it was told; the reader corrects that by the age."""
    entry = StoredEntry(Facts({"sub": "alice"}, NOW, exp=NOW + 99, phantom="h.c.s"), 0, 60_000, b"known")
    recalled = decode(encode(entry)).recalled(59_000, NOW + 1, SKEW_S)
    assert recalled.result.phantom == "h.c.s"
    assert "h.c.s" not in repr(recalled)
    assert decode(encode(entry).replace(b'"h.c.s"', b"7")) is None


def test_claims_keep_their_order() -> None:
    claims = {
        "exp": 9,
        "sub": "alice",
        "aud": ["a", "b"],
        "name": "Ali\u00e7e",
        "nul": "a\0b",
        "empty": "",
        "act": None,
    }
    found = decode(encode(StoredEntry(Facts(claims, NOW), 0, 1, b"")))
    assert found is not None
    assert list(found.result.claims.items()) == list(claims.items())


@pytest.mark.parametrize("tags", [(b"short",), (b"t" * 16, b"l" * 32), (b"t" * 16,) * 256])
def test_tags_that_do_not_fit_are_left_to_the_reader(tags: tuple[bytes, ...]) -> None:
    assert decode(encode(StoredEntry(Facts({}, NOW), 0, 1, b"", tags=tags))) == StoredEntry(Facts({}, NOW), 0, 1, b"")


def test_an_entry_of_the_first_form_is_still_read() -> None:
    """Instances of both versions may share a Redis."""
    facts = b'"claims":{"sub":"alice","exp":9},"exp":9,"nbf":null,"scopes":["read"],"phantom":"h.c.s"'
    first = b'{"active":true,"at":1.5,"age":5,"left":60,"known":"6b","call":"66","kept":70,%b}' % facts
    result = Facts({"sub": "alice", "exp": 9}, 1.5, 9.0, None, frozenset({"read"}), "h.c.s")
    assert decode(first) == StoredEntry(result, 5, 60, b"k", b"f", 70)
    inactive = b'{"active":false,"at":1.5,"age":5,"left":60,"known":"6b","call":"","why":"past","told":true}'
    assert decode(inactive) == StoredEntry(Inactive(1.5, "past"), 5, 60, b"k", is_announced=True)


HEAD = struct.Struct(">BBdqqqddBBHIII")


def parts(names: bytes = b'[["sub","exp"],[1]]', scopes: bytes = b'["read"]', texts: bytes = b"alice", **head: object):
    """An entry of the newer form, put together by hand: what `encode` makes, but for what is given."""
    values = {"mark": 2, "flags": 1, "at": NOW, "age": 1, "left": 2, "kept": 0, "exp": 0.0, "nbf": 0.0, "tags": b""}
    values |= {"others": b"[9]", **head}
    tags, others = values.pop("tags"), values.pop("others")
    lengths = map(len, (b"known", b"fence", tags, names, scopes, texts))
    return HEAD.pack(*values.values(), *lengths) + b"known" + b"fence" + tags + names + scopes + texts + others


def test_the_mark_stands_for_the_claims_that_make_tags() -> None:
    """Who changes these counts the mark up: a reader of tags made from fewer claims would miss a revocation."""
    assert (entry_form._MARK, TOKEN_CLAIMS) == (2, ("sub", "sid", "jti", "client_id", "email"))


def test_what_is_put_together_by_hand_is_read() -> None:
    result = Facts({"sub": "alice", "exp": 9}, NOW, scopes=frozenset({"read"}))
    assert decode(parts()) == StoredEntry(result, 1, 2, b"known", b"fence")
    assert encode(StoredEntry(result, 1, 2, b"known", b"fence")) == parts()


@pytest.mark.parametrize(
    "lie",
    [
        {"mark": 3},
        {"mark": 1},
        {"at": math.nan},
        {"at": math.inf},
        {"exp": -math.inf, "flags": 5},
        {"nbf": 1e300, "flags": 9},
        {"age": 2**60},
        {"left": -(2**60)},
        {"kept": 2**60},
        {"flags": 17, "others": b"[9,7]"},
        {"flags": 17, "others": b"[9]"},
        {"flags": 16, "others": b"[]"},
        {"names": b'[["sub","sub"],[1]]'},
        {"names": b'[["sub",7],[1]]'},
        {"names": b'[["sub","exp"],[2]]'},
        {"names": b'[["sub","exp"],[-1]]'},
        {"names": b'[["sub","exp"],[true]]'},
        {"names": b'[["sub","exp"],[1,1]]'},
        {"names": b'[["sub","exp"],[0,1]]'},
        {"names": b'[["sub","exp"],[]]'},
        {"names": b'[["sub","exp"]]'},
        {"names": b'{"sub":1}'},
        {"names": b""},
        {"names": b"\xff"},
        {"scopes": b"[7]"},
        {"scopes": b"{}"},
        {"scopes": b""},
        {"texts": b"alice\0bob"},
        {"texts": b"\xff"},
        {"others": b"[9,9]"},
        {"others": b"[]"},
        {"others": b"[9]x"},
        {"others": b"[NaN]"},
        {"others": b"9"},
        {"others": b""},
        {"others": b"[" * 100_000},
        {"tags": b"not sixteen"},
    ],
    ids=str,
)
def test_a_lie_in_an_entry_is_nothing(lie: dict[str, object]) -> None:
    assert decode(parts(**lie)) is None


def test_an_entry_that_is_cut_short_or_changed_in_a_bit_breaks_nothing() -> None:
    whole = encode(
        StoredEntry(Facts({"sub": "alice", "aud": ["a"]}, NOW, phantom="h.c.s"), 1, 2, b"k", tags=(b"t" * 16,))
    )
    for length in range(len(whole)):
        assert decode(whole[:length]) is None
    for at in range(len(whole)):
        for bit in range(8):
            decode(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])


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
                b'"x":NaN',
                b'"at":1e999',
                b'"exp":Infinity',
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
                b'"at":1,"exp":null,"age":1,"left":1,"told":"yes"',
            )
        ),
    ],
)
def test_what_another_version_wrote_is_nothing(text: bytes) -> None:
    assert decode(text) is None


def test_the_age_is_told_by_what_redis_has_counted_down() -> None:
    recalled = stored().recalled(45_000, NOW + 15.5, SKEW_S)
    assert recalled is not None
    assert (recalled.age_s, recalled.left_s) == (15.5, 45.0)


@pytest.mark.parametrize(("apart_s", "age_s"), [(-2.0, 15.5), (-0.5, 15.5), (0.0, 15.5), (0.5, 16.0), (40.0, 55.5)])
def test_the_older_of_two_ages_counts(apart_s: float, age_s: float) -> None:
    """`apart_s`: how far the reader's clock is ahead of the writer's, or what was put back has been away."""
    recalled = stored().recalled(45_000, NOW + 15.5 + apart_s, SKEW_S)
    assert recalled is not None
    assert (recalled.age_s, recalled.left_s) == (age_s, 60.5 - age_s)
    assert recalled.result.introspected_at == NOW + 15.5 + apart_s - age_s  # by the reader's clock


@pytest.mark.parametrize("apart_s", [-2.1, -300.0, 45.0, 300.0])
def test_between_clocks_that_are_far_apart_nothing_is_shared(apart_s: float) -> None:
    recalled = stored().recalled(45_000, NOW + 15.5 + apart_s, SKEW_S)
    if apart_s > 0:
        assert recalled is None
    else:
        assert recalled is not None
        assert (recalled.age_s, recalled.left_s, recalled.kept_s) == (math.inf, 0.0, 0.0)
        assert recalled.ahead_s == pytest.approx(-apart_s)
    assert stored().ahead_s(45_000, NOW + 15.5 + apart_s) == pytest.approx(-apart_s)


@pytest.mark.parametrize("left_ms", [-2, -1, 0, 60_001])
def test_a_time_that_redis_cannot_have_left_is_a_lie(left_ms: int) -> None:
    assert stored().recalled(left_ms, NOW + 0.5, SKEW_S) is None


@given(st.integers(1, 60_000), st.floats(0, 4000), st.floats(-SKEW_S, SKEW_S))
def test_whatever_redis_says_nothing_lives_longer_than_its_life_and_the_skew(
    left_ms: int, true_age_s: float, apart_s: float
) -> None:
    recalled = stored().recalled(left_ms, NOW + true_age_s + apart_s, SKEW_S)
    if recalled is not None and recalled.left_s:
        assert recalled.age_s >= true_age_s - SKEW_S - 1e-3
        assert true_age_s + recalled.left_s <= 60.5 + SKEW_S + 1e-3


def test_what_is_kept_longer_is_told_apart_from_what_is_good() -> None:
    entry = StoredEntry(Facts({"sub": "alice"}, NOW), 500, 60_000, b"known", kept_ms=360_000)
    fresh = entry.recalled(315_000, NOW + 45.5, SKEW_S)
    assert fresh is not None
    assert (fresh.age_s, fresh.left_s, fresh.kept_s) == (45.5, 15.0, 315.0)
    known = entry.recalled(100_000, NOW + 260.5, SKEW_S)
    assert known is not None
    assert (known.age_s, known.left_s, known.kept_s) == (260.5, 0.0, 100.0)
    assert entry.recalled(360_001, NOW, SKEW_S) is None
    put_back = entry.recalled(360_000, NOW + 260.5, SKEW_S)
    assert put_back is not None
    assert (put_back.age_s, put_back.left_s, put_back.kept_s) == (260.5, 0.0, 100.0)


def test_times_that_were_written_as_integers_are_read_as_floats() -> None:
    """The compiled form tells them apart."""
    times = b'"at":1,"exp":9,"nbf":7,"age":1,"left":1'
    entry = decode(b'{"active":true,"claims":{"exp":9},"scopes":[],"known":"","call":"",%b}' % times)
    assert entry is not None
    facts = entry.result
    assert isinstance(facts, Facts)
    assert [type(each) for each in (facts.introspected_at, facts.exp, facts.nbf)] == [float] * 3
    assert facts.claims == {"exp": 9}
