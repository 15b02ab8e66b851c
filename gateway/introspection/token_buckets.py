"""Limits the unknown tokens that a client address may try: one token bucket for each address, in bounded memory.

An address whose bucket is full again is forgotten. When there are more addresses than the memory holds, the newcomers
share one bucket, so that inventing addresses gains nothing. Addresses of IPv6 count by their /64, which is what a
subscriber gets (RFC 6177).

Pure: `now_s` is the monotonic clock, passed in.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from gateway.http.client_network import network_of

_ADDRESSES_MAX = 10_000
# For each new address so many are checked: more than one, so that forgetting is faster than learning.
_SWEPT_PER_NEW = 2


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Says that the bucket is empty. One token will be there in `wait_s`, which is more than 0."""

    wait_s: float


class TokenBucket:
    """Holds the `level` of one bucket as of `at_s`."""

    __slots__ = ("at_s", "level")

    def __init__(self, level: float, at_s: float) -> None:
        self.level = level
        self.at_s = at_s


class TokenBuckets:
    """Allows `burst` at once, and `rate` per second after that, for each address."""

    def __init__(self, rate: float, burst: int, addresses_max: int = _ADDRESSES_MAX) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._addresses_max = addresses_max
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()
        self._shared = TokenBucket(self._burst, 0.0)

    def __len__(self) -> int:
        return len(self._buckets)

    def spend(self, address: str, now_s: float) -> TokenBucket | RetryAfter:
        """Spend one token of the bucket of `address`. Returns the bucket, for `refund`, or how long until there is a
        token.
        """
        bucket = self._bucket(network_of(address), now_s)
        self._refill(bucket, now_s)
        if bucket.level < 1:
            return RetryAfter((1 - bucket.level) / self._rate)
        bucket.level -= 1
        return bucket

    def refund(self, bucket: TokenBucket, part: float = 1.0) -> None:
        """Put back what was spent, or `part` of it."""
        bucket.level = min(self._burst, bucket.level + part)

    def charge_again(self, bucket: TokenBucket) -> None:
        """Charge the same once more. The debt is one burst at most."""
        bucket.level = max(-self._burst, bucket.level - 1)

    def _bucket(self, address: str, now_s: float) -> TokenBucket:
        bucket = self._buckets.get(address)
        if bucket is not None:
            self._buckets.move_to_end(address)
            return bucket
        self._sweep(now_s)
        if len(self._buckets) >= self._addresses_max:
            return self._shared
        bucket = self._buckets[address] = TokenBucket(self._burst, now_s)
        return bucket

    def _refill(self, bucket: TokenBucket, now_s: float) -> None:
        bucket.level = min(self._burst, bucket.level + max(0.0, now_s - bucket.at_s) * self._rate)
        bucket.at_s = now_s

    def _sweep(self, now_s: float) -> None:
        """Forget those that are full among the next few. One that is not, is passed over and holds up nobody."""
        buckets = self._buckets
        for _ in range(min(_SWEPT_PER_NEW, len(buckets))):
            oldest = next(iter(buckets))
            self._refill(buckets[oldest], now_s)
            if buckets[oldest].level < self._burst:
                buckets.move_to_end(oldest)
            else:
                del buckets[oldest]
