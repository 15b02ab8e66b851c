"""The keys of several secrets at once, while `cache.secret` changes from one to another.

A result then has one key and one set of tags for each secret. In this process it lies under all of its keys in a row,
and has each of them as a tag. So a purge finds it whichever secret the order was made with.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive
from gateway.cache.key import KEY_BYTES, HmacKeys
from gateway.introspection.invalidation import ClaimSelector


class KeyRing:
    """Makes keys and tags as `HmacKeys` does, for two or more secrets. Satisfies `introspection.ports.CacheKeys`."""

    is_random = False

    def __init__(self, members: Sequence[HmacKeys]) -> None:
        self.members = tuple(members)

    def key(self, identity: bytes, token: Token) -> bytes:
        if token.key_maker is not self or token.key_identity != identity:
            token.key = b"".join([each.made_key(identity, token) for each in self.members])
            token.key_identity, token.key_maker = identity, self
        return token.key

    def aliases(self, key: bytes) -> tuple[bytes, ...]:
        return tuple(key[start : start + KEY_BYTES] for start in range(0, len(key), KEY_BYTES))

    def selector_tags(self, selector: ClaimSelector) -> tuple[bytes, ...]:
        return tuple(each.tag(selector) for each in self.members)

    def result_tags(self, realm: str, result: Facts | Inactive) -> tuple[bytes, ...]:
        return tuple(tag for each in self.members for tag in each.result_tags(realm, result))

    def event_key(self, realm: str, event_id: str) -> bytes:
        return b"".join(each.event_key(realm, event_id) for each in self.members)


def keys_of(secrets: Sequence[bytes]) -> HmacKeys | KeyRing:
    """The keys of all `secrets`. The first one seals. Without any, the keys are known to this process only."""
    if len(secrets) > 1:
        return KeyRing([HmacKeys(secret) for secret in secrets])
    return HmacKeys(secrets[0] if secrets else None)
