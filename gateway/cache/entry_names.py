"""Names what lies in Redis for a key: its entry and its lease.

The key stands in braces, so that all that lies there for it is on the same node of a cluster.
"""

from __future__ import annotations

from binascii import b2a_base64

_LEASE = b":lease"


class EntryNames:
    """Makes the names of one fleet. `prefix` begins all of them."""

    __slots__ = ("_begin",)

    def __init__(self, prefix: str) -> None:
        self._begin = prefix.encode() + b"{"

    def of(self, tag: bytes) -> bytes:
        """The name of the entry of a key, or of its part that belongs to one secret. It is base64 for URLs (RFC 4648
        §5), which the library makes in three times the time.
        """
        text = b2a_base64(tag, newline=False).rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_")
        return b"%b%b}" % (self._begin, text)


def lease_name(entry_name: bytes) -> bytes:
    """The name of an entry's lease: in the same slot, because of the braces in the name."""
    return entry_name + _LEASE
