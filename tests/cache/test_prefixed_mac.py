import hmac

from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.prefixed_mac import PrefixedMac

keys = st.binary(min_size=1, max_size=64)


@given(keys, st.binary(max_size=200))
def test_without_a_prefix_it_is_the_hmac_of_the_text(key: bytes, text: bytes) -> None:
    assert PrefixedMac(key).of(text) == hmac.digest(key, text, "sha256")


@given(keys, st.lists(st.binary(max_size=20), max_size=3), st.binary(max_size=20))
def test_a_prefix_is_hashed_with_its_length_and_for_every_text_anew(
    key: bytes, first: list[bytes], text: bytes
) -> None:
    delimited = b"".join(len(field).to_bytes(8, "big") + field for field in first)
    mac = PrefixedMac(key, *first)
    assert [mac.of(text) for _ in range(2)] == [hmac.digest(key, delimited + text, "sha256")] * 2
