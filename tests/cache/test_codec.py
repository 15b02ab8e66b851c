"""The tags that are sealed into an entry: they spare their making, and void no less than those that a reader makes."""

import pytest

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive
from gateway.cache.codec import EntryCodec
from gateway.cache.key import HmacKeys
from gateway.cache.key_ring import KeyRing
from gateway.cache.purge_index import Message, PurgeIndex, position
from gateway.introspection.invalidation import ClaimSelector
from gateway.introspection.ports import Absent, Recalled
from gateway.introspection.tag_purge import purge_of

NEW, OLD = HmacKeys(b"the new secret"), HmacKeys(b"the old secret")
REALM, PLACEHOLDER = "https://sso.example.com", "https://not-known-yet.example"
NOW = 1_700_000_000.0


class Reader:
    """A process with an index of its own, in step with the fleet's log."""

    def __init__(self, keys: HmacKeys | KeyRing = NEW, which: int = 0) -> None:
        self.keys, self.index = keys, PurgeIndex()
        self.index.read(position(b"1-0"), Message(b"1" * 16, None))
        self.codec = EntryCodec(
            keys, self.index, clock=lambda: NOW, monotonic=lambda: 5.0, clock_skew_s=2.0, which=which
        )
        self.key = keys.key(b"provider", Token("alice.1"))

    def sealed(self, realm: str = REALM, *, with_tags: bool = True, result: Facts | Inactive | None = None) -> bytes:
        facts = Facts({"sub": "alice", "sid": "s1", "client_id": "web"}, NOW) if result is None else result
        tags = self.keys.aliases(self.key) + self.keys.result_tags(realm, facts) if with_tags else None
        recalled = Recalled(facts, 0.0, 60.0, tags=tags)
        entry = self.codec.seal(self.key, recalled, self.index.log_position())
        assert entry is not None
        return entry[0]

    def purged(self, claim: str, value: str, realm: str = REALM) -> "Reader":
        purge = purge_of(self.keys.selector_tags(ClaimSelector(realm, claim, value)))
        self.index.read(position(b"2-0"), Message(b"1" * 16, purge))
        return self

    def opened(self, sealed: bytes, realm: str = REALM) -> Recalled | Absent:
        return self.codec.open(self.key, realm, 60_000, sealed)


def test_tags_that_the_writer_made_are_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = Reader().sealed()
    reader = Reader()
    expected = (reader.key, *NEW.result_tags(REALM, Facts({"sub": "alice", "sid": "s1", "client_id": "web"}, NOW)))
    monkeypatch.setattr(HmacKeys, "result_tags", None)
    found = reader.opened(sealed)
    assert isinstance(found, Recalled)
    assert found.tags == expected


@pytest.mark.parametrize("with_tags", [True, False])
@pytest.mark.parametrize(
    ("claim", "value", "is_void"),
    [
        ("sub", "alice", True),
        ("sid", "s1", True),
        ("client_id", "web", True),
        ("realm", "", True),
        ("sub", "bob", False),
    ],
)
def test_a_purge_voids_an_entry_whoever_made_its_tags(with_tags: bool, claim: str, value: str, is_void: bool) -> None:
    found = Reader().purged(claim, value).opened(Reader().sealed(with_tags=with_tags))
    assert (found is Absent.MISS) is is_void


@pytest.mark.parametrize("claim", ["sub", "realm"])
def test_tags_of_another_realm_do_not_count(claim: str) -> None:
    """The writer did not know the provider's issuer yet, and the order comes from one that does."""
    sealed = Reader().sealed(PLACEHOLDER)
    assert Reader().purged(claim, {"sub": "alice", "realm": ""}[claim]).opened(sealed) is Absent.MISS
    assert isinstance(Reader().opened(sealed), Recalled)


def test_nor_do_those_that_a_result_has_borrowed() -> None:
    """The realm's own tag stands first; that of another result may be of any realm."""
    borrowed = [tag.hex() for tag in NEW.result_tags(REALM, Facts({"sub": "carol"}, NOW))]
    obtained = Facts({"sub": "alice", "gateway: purged with": borrowed}, NOW)
    sealed = Reader().sealed(PLACEHOLDER, result=obtained)
    assert Reader().purged("sub", "alice").opened(sealed) is Absent.MISS
    assert Reader().purged("sub", "carol").opened(sealed) is Absent.MISS


@pytest.mark.parametrize("writer", ["one secret", "both"])
@pytest.mark.parametrize("by", [NEW, OLD], ids=["new", "old"])
def test_while_secrets_change_an_order_under_either_voids_it(writer: str, by: HmacKeys) -> None:
    ring = KeyRing([NEW, OLD])
    sealed = (Reader() if writer == "one secret" else Reader(ring)).sealed()
    for_alice = purge_of(by.selector_tags(ClaimSelector(REALM, "sub", "alice")))
    reader = Reader(ring)
    assert isinstance(reader.opened(sealed), Recalled)
    reader.index.read(position(b"2-0"), Message(b"1" * 16, for_alice))
    assert reader.opened(sealed) is Absent.MISS


def test_an_inactive_result_has_no_tags_but_its_key() -> None:
    reader = Reader()
    found = reader.opened(Reader().sealed(result=Inactive(NOW)))
    assert isinstance(found, Recalled)
    assert found.tags == (reader.key,)
