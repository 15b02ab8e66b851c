"""Keeps the realms' not-before times in Redis, for processes that start after the purge was told.

The log of purges tells those who follow it, and is cut off after some thousand messages. So each time also lies under a
key of its own, sealed. Every process that knows it puts it back where it is missing or older. So a time that Redis
loses, or that somebody deletes there, comes back as long as one process of the fleet lives. Nobody can write one
without the secret.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable

from redis.exceptions import ResponseError

from gateway.cache.connect import Client
from gateway.cache.key import HmacKeys
from gateway.cache.seal import Seal
from gateway.introspection.invalidation import whole_realm
from gateway.introspection.not_before import NotBefore

_SEALED_MAX_BYTES = 128
# A token that lives longer is not an access token. While a process of the fleet lives, it puts the time back.
_LIFE_MS = 30 * 24 * 3600 * 1000


class NotBeforeStore:
    """Reads and writes the times. Errors are those of the client. `prefix` is the fleet's, for the names of keys."""

    def __init__(self, client: Client, prefix: str, keys: HmacKeys, not_before: NotBefore) -> None:
        self._client = client
        self._prefix = prefix
        self._keys = keys
        self._seal = Seal(keys.sealing, _SEALED_MAX_BYTES)
        self._not_before = not_before

    async def agree(self, realms: Iterable[str]) -> None:
        """Learn the fleet's times of `realms`, and write those that this process knows better."""
        for realm in realms:
            name = self._name(realm)
            kept = self._opened(name, await self._sealed(name))
            self._not_before.advance(realm, kept)
            known = self._not_before.of(realm)
            if known > kept:
                sealed = self._seal.seal(name.encode(), repr(known).encode())
                await self._client.set(name, sealed or b"", px=_LIFE_MS)
            elif known:
                await self._client.pexpire(name, _LIFE_MS)

    async def _sealed(self, name: str) -> bytes:
        """The sealed time; empty if there is none, or a value of another type, which must not stop anybody
        from following.
        """
        try:
            sealed = await self._client.getrange(name, 0, _SEALED_MAX_BYTES)
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            return b""  # what is known is put over it
        return sealed if isinstance(sealed, bytes) else b""

    def _opened(self, name: str, sealed: bytes) -> float:
        text = self._seal.open(name.encode(), sealed) if sealed else None
        try:
            return 0.0 if text is None else float(text)
        except ValueError:
            return 0.0

    def _name(self, realm: str) -> str:
        tag = self._keys.tag(whole_realm(realm))
        return f"{self._prefix}not-before:{urlsafe_b64encode(tag).rstrip(b'=').decode()}"
