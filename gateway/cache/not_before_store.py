"""Where a fleet keeps since when each realm's tokens count, for processes that start after the purge was told.

The log of purges tells those who follow it, and is cut off after some thousand messages. So each moment also lies
under a key of its own, sealed, and every process that knows it puts it back where it is missing or older: what Redis
loses, or somebody deletes there, comes back as long as one process of the fleet lives. Nobody without the secret can
write one.
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
# Tokens that live longer than this are not access tokens. While a process of the fleet lives, it is put back.
_LIFE_MS = 30 * 24 * 3600 * 1000


class NotBeforeStore:
    """Errors are those of the client. `prefix` is the fleet's, for the names of keys."""

    def __init__(self, client: Client, prefix: str, keys: HmacKeys, not_before: NotBefore) -> None:
        self._client = client
        self._prefix = prefix
        self._keys = keys
        self._seal = Seal(keys.sealing, _SEALED_MAX_BYTES)
        self._not_before = not_before

    async def agree(self, realms: Iterable[str]) -> None:
        """Learn what the fleet keeps of `realms`, and have it keep what this process knows better."""
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
        """Empty where there is nothing, or something of another type, which keeps nobody from following the fleet."""
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
