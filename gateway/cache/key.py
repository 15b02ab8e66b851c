"""Keys that do not reveal the tokens and claims behind them: HMAC-SHA256 (RFC 2104), keyed from `cache.secret`.

Anyone who can read Redis can read the names in it and try secrets against them at leisure. So every key is derived from
the secret by scrypt (RFC 7914): to try one secret costs 16 MiB and a tenth of a second.

Fields are length-delimited before they are hashed, so that no two different pairs give the same text: a token at one
provider is never found under another (GHSA-4mq7-pvjg-xp2r). Nothing else of a token is kept.
"""

from __future__ import annotations

import secrets
from functools import lru_cache
from hashlib import scrypt
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.authn.bearer import Token
from gateway.authn.borrowed_tags import BORROWED_TAGS, borrowed_tags
from gateway.authn.facts import Facts, Inactive
from gateway.cache.prefixed_mac import PrefixedMac
from gateway.http.bounded_memo import BoundedMemo
from gateway.introspection.invalidation import ClaimName, ClaimSelector, selectable

KEY_BYTES = _KEY_BYTES = 32
_SALT = b"gateway cache: 2"
_SCRYPT_COST = 2**14
# Half of the hash is enough to tell tags apart (RFC 2104 §5), and a cached token has six.
TAG_BYTES = 16
_CLIENT_TAGS_MAX = 256


class HmacKeys:
    """Derives keys and names from one `cache.secret`. Without a secret they are random: only this process can use them.

    `sealing` encrypts the data that leaves the process; `nonces` authenticates those of DPoP proofs. `fleet` is the
    public name of the processes that share the secret. `members` serves where several secrets are in use
    (`gateway.cache.key_ring`).
    """

    @property
    def members(self) -> tuple[HmacKeys, ...]:
        return (self,)

    def __init__(self, secret: bytes | None) -> None:
        self.is_random = not secret
        root = stretched(secret) if secret else secrets.token_bytes(_KEY_BYTES)
        self._token_key: Final = _derived(root, b"gateway cache: tokens")
        self._token_macs: dict[bytes, PrefixedMac] = {}  # by identity: one for each provider
        self._tag_key: Final = _derived(root, b"gateway cache: tags")
        self._client_tags: BoundedMemo[tuple[str, str, str], bytes] = BoundedMemo(
            _CLIENT_TAGS_MAX
        )  # those of realms too
        self._limit_macs: dict[str, PrefixedMac] = {}  # by the limit's name
        self._tag_macs: dict[tuple[str, str], PrefixedMac] = {}  # by kind and realm: a few for each provider
        self.sealing: Final = _derived(root, b"gateway cache: sealing")
        self.nonces: Final = _derived(root, b"gateway cache: nonces of proofs")
        self.fleet: Final = _derived(root, b"gateway cache: name of the fleet")[:8].hex()

    def key(self, identity: bytes, token: Token) -> bytes:
        """The cache key, which the token keeps: one request asks for it up to four times."""
        if token.key_maker is self and token.key_identity == identity:
            return token.key
        key = self.made_key(identity, token)
        token.key, token.key_identity, token.key_maker = key, identity, self
        return key

    def made_key(self, identity: bytes, token: Token) -> bytes:
        mac = self._token_macs.get(identity)
        if mac is None:
            mac = self._token_macs[identity] = PrefixedMac(self._token_key, identity)
        return mac.of(_bytes(token.value))

    def aliases(self, key: bytes) -> tuple[bytes, ...]:  # noqa: ARG002 - a key ring needs it
        """Nothing: an entry is purged by its key."""
        return ()

    def selector_tags(self, selector: ClaimSelector) -> tuple[bytes, ...]:
        """The tags of the results that `selector` selects, for an order to purge them."""
        return (self.tag(selector),)

    def tag(self, selector: ClaimSelector) -> bytes:
        return self._tag(selector.realm, selector.claim, selector.value)

    def result_tags(self, realm: str, result: Facts | Inactive) -> tuple[bytes, ...]:
        """The tags that a result of a provider of `realm` may be purged by, beside its key; that of the realm first."""
        if isinstance(result, Inactive):
            return ()
        tags = [self.realm_tag(realm)]
        tags += [self._tag(realm, claim, value) for claim, value in selectable(result.claims)]
        if BORROWED_TAGS in result.claims:
            tags += borrowed_tags(result.claims)
        return tuple(tags)

    def realm_tag(self, realm: str) -> bytes:
        """The tag that all active results of a provider of `realm` have."""
        return self._tag(realm, "realm", "")

    def _tag(self, realm: str, claim: ClaimName, value: str) -> bytes:
        if claim not in ("client_id", "realm"):
            return self._made_tag(realm, claim, value)
        # Thousands of tokens bear that of one client, and all bear that of their realm: it is in memory once.
        selector = realm, claim, value
        tag = self._client_tags.known.get(selector)
        if tag is None:
            tag = self._made_tag(realm, claim, value)
            self._client_tags.keep(selector, tag)
        return tag

    def _made_tag(self, realm: str, claim: ClaimName, value: str) -> bytes:
        # Transmitters and providers write the same address in different cases; to evict one too many costs a call.
        value = value.casefold() if claim == "email" else value
        mac = self._tag_macs.get((claim, realm))
        if mac is None:
            mac = self._tag_macs[claim, realm] = PrefixedMac(self._tag_key, claim.encode(), _bytes(realm))
        return mac.of(_bytes(value))[:TAG_BYTES]

    def limit_key(self, limit: str, identity: str) -> bytes:
        """The key of an identity's bucket under a limit."""
        mac = self._limit_macs.get(limit)
        if mac is None:
            mac = self._limit_macs[limit] = PrefixedMac(self._tag_key, b"limit", _bytes(limit))
        return mac.of(_bytes(identity))[:TAG_BYTES]

    def event_key(self, realm: str, event_id: str) -> bytes:
        """By which an event of `realm` is known again, and told to nobody."""
        return PrefixedMac(self._tag_key, b"event", _bytes(realm)).of(_bytes(event_id))


@lru_cache(maxsize=8)
def stretched(secret: bytes) -> bytes:
    """Stretch the secret that keys are derived from. The first call takes long: do not call it in an event loop.

    The salt is fixed, because the secret is all that the instances of a fleet share, and they need the same keys.
    """
    return scrypt(secret, salt=_SALT, n=_SCRYPT_COST, r=8, p=1, dklen=_KEY_BYTES)


def _derived(root: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=purpose).derive(root)


def _bytes(text: str) -> bytes:
    # A claim may hold a lone surrogate, which JSON can write and UTF-8 cannot.
    return text.encode("utf-8", "surrogatepass")
