"""Remembers which proofs were used, so that each is good once (RFC 9449 §11.1). Pure: the clock is passed in.

    new -> seen for `LIFE_S` -> forgotten, and by then too old to be taken
     └-> of a key that uses very many: forgotten sooner, and with it all of that key that is not newer

Only a proof that is good in every other way gets here, so whoever fills this memory has tokens and the keys that they
are bound to. The memory is bounded, and nothing is ever forgotten that could still be replayed:

- A key has a share. Beyond it the key's own oldest proof is forgotten, and from then on each of that key's proofs that
  was issued no later is refused. A client whose proofs are of the moment does not notice.
- The shares become smaller as keys become more, so that no key takes another's place.
- Anybody can have a token bound to each of many keys. So a client network may hold as many proofs as are still free:
  one at its worst has half of the memory, two have two thirds, and there is always room for another. A network beyond
  that forgets a proof of the same key for a new one, and where there is none, the new one is refused.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

# A proof is taken from a minute before its `iat` until a minute after it.
LIFE_S = 120.0
_MOST = 100_000
_FEW_KEYS = 5
_SHARE_LEAST = 16


class Use(NamedTuple):
    """One use of a proof: its key, a digest of key and `jti`, and when the proof says that it was issued.

    `network` is the widest one that the client's address belongs to.
    """

    jkt: str
    digest: str
    issued_at: float
    network: str = ""


class UseOutcome(Enum):
    NEW = auto()
    SEEN = auto()  # it was used before, or nobody remembers whether it was
    FULL = auto()


@dataclass(slots=True)
class _Key:
    digests: deque[str] = field(default_factory=deque)  # the oldest first
    forgotten_until: float = float("-inf")  # proofs that were issued no later are refused


class SeenProofs:
    """Remembers at most `most` proofs."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._uses: OrderedDict[str, tuple[float, Use]] = OrderedDict()  # by digest, the oldest first, with its end
        self._keys: dict[str, _Key] = {}
        self._held: Counter[str] = Counter()  # by network

    def __len__(self) -> int:
        return len(self._uses)

    def has(self, digest: str, now_s: float) -> bool:
        """Whether the proof was used here, as far as that is remembered."""
        found = self._uses.get(digest)
        return found is not None and found[0] > now_s

    def claim(self, use: Use, now_s: float) -> UseOutcome:
        """Use a proof at `now_s` (monotonic): `NEW` for the first one who does."""
        self._forget_old(now_s)
        key = self._keys.get(use.jkt)
        if use.digest in self._uses or (key is not None and use.issued_at <= key.forgotten_until):
            return UseOutcome.SEEN
        if key is None:
            key = _Key()
        share = max(_SHARE_LEAST, self._most // (2 * max(_FEW_KEYS, len(self._keys))))
        while len(key.digests) >= share:
            self._forget_oldest_of(key)
        if self._held[use.network] >= self._most - len(self._uses):
            if not key.digests:
                return UseOutcome.FULL
            self._forget_oldest_of(key)
        self._keys[use.jkt] = key
        self._uses[use.digest] = (now_s + LIFE_S, use)
        self._held[use.network] += 1
        key.digests.append(use.digest)
        return UseOutcome.NEW

    def _forget_oldest_of(self, key: _Key) -> None:
        _, use = self._uses.pop(key.digests.popleft())
        self._release(use.network)
        key.forgotten_until = max(key.forgotten_until, use.issued_at)

    def _release(self, network: str) -> None:
        self._held[network] -= 1
        if not self._held[network]:
            del self._held[network]

    def _forget_old(self, now_s: float) -> None:
        while self._uses:
            ends_s, use = next(iter(self._uses.values()))
            if ends_s > now_s:
                return
            del self._uses[use.digest]
            self._release(use.network)
            key = self._keys[use.jkt]
            key.digests.popleft()  # both are in the order in which they came
            if not key.digests:
                del self._keys[use.jkt]  # what it forgot sooner is older still
