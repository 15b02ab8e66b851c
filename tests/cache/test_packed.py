import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.facts import Facts, read_introspection_result
from gateway.cache.packed import Packer
from gateway.introspection.ports import CacheEntry

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
facts = st.builds(
    Facts,
    st.dictionaries(st.text(), json_values, max_size=4),
    st.floats(0, 4e9),
    st.none() | st.floats(0, 4e9),
    st.none() | st.integers(0, 4_000_000_000),
    st.frozensets(st.text(max_size=5)),
    st.none() | st.text(),
)
entries = st.builds(CacheEntry, facts, st.lists(st.binary(max_size=3)).map(tuple), st.floats(0, 1e9), st.floats(0, 1e9))


def entry_of(number: int, **claims) -> CacheEntry:
    document = {"active": True, "iss": "https://sso.example.com/realms/demo", "scope": "a b", "sub": f"user-{number}"}
    result = read_introspection_result({**document, **claims}, 5.0)
    assert isinstance(result, Facts)
    return CacheEntry(result, (b"tag",), 1.0, 2.0)


@given(st.lists(entries, min_size=1, max_size=4))
def test_what_is_packed_comes_back_as_it_was(several: list[CacheEntry]) -> None:
    packer = Packer()
    packed = [packer.pack(entry) for entry in several]
    assert [each.entry() for each in packed] == several
    # `==` takes 1 for True and 1.0; a policy does not.
    assert [repr(each.entry().result.claims) for each in packed] == [repr(entry.result.claims) for entry in several]


def test_a_lone_surrogate_comes_back_too() -> None:
    entry = entry_of(1, name="\ud800")
    assert Packer().pack(entry).entry() == entry


def test_what_is_like_the_ones_before_takes_little() -> None:
    packer = Packer()
    packer.pack(entry_of(0))
    entry = entry_of(1)
    assert len(packer.pack(entry).text) < len(json.dumps(entry.result.claims)) / 2


def test_entries_outlive_the_dictionary_they_were_packed_with() -> None:
    packer = Packer()
    several = [entry_of(number, **{f"claim-{number // 500}": "x" * 5000}) for number in range(3000)]
    packed = [packer.pack(entry) for entry in several]
    assert len({each.dictionary for each in packed}) == 6
    assert max(len(each.dictionary) for each in packed) < 10_000
    assert [each.entry() for each in packed] == several


def test_what_was_unpacked_shares_what_all_have_in_common() -> None:
    packer = Packer()
    one, other = (packer.pack(entry_of(number)).entry().result for number in range(2))
    assert isinstance(one, Facts)
    assert isinstance(other, Facts)
    assert one.scopes is other.scopes
    assert [id(name) for name in one.claims] == [id(name) for name in other.claims]
