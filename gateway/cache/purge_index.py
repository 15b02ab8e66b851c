"""Knows the fleet's purges, and decides which shared results are still valid.

    unknown (no log) ── the opening of a log is read ──> known: results can be valid ── restart ──> unknown

The purges lie in a log in Redis, each at a position that only grows. A result carries its *log position*: the log and
the position that its writer knew when it asked the provider. It is valid as long as nothing further on in that log
covers it. So a result that was under way during a purge is void wherever it comes from, nothing has to be found and
deleted, and it makes no difference on which node of a cluster anything lies.

A log's id begins with its epoch, a number that only grows, and every message carries the id under seal. Somebody who
can write to Redis can put back a log as it was before a purge. A process that has read further notices that the last
message it read is gone. It never trusts that log again and opens one of a later epoch, which voids all that was sealed
before.

Pure: messages come in by `read`, in order. Entries that are dropped for lack of room make the index stricter, never
laxer.
"""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

from gateway.introspection.tag_purge import TagPurge, purge_everything, purge_from_json, purge_of, purge_to_json

_EPOCH_BYTES = 8
_RANDOM_BYTES = 8
LOG_ID_BYTES = _EPOCH_BYTES + _RANDOM_BYTES
_POSITION_PART_BYTES = 8
_REMEMBERED_MAX = 10_000
_AWAITED_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Message:
    """Holds a message of the log `log_id`: a purge, or with `None` the log's opening."""

    log_id: bytes
    purge: TagPurge | None

    def encode(self) -> bytes:
        purge = None if self.purge is None else purge_to_json(self.purge)
        return json.dumps({"log": self.log_id.hex(), "purge": purge}, separators=(",", ":")).encode()

    @staticmethod
    def decode(text: bytes) -> Message | None:
        try:
            match json.loads(text):
                case {"log": str(log_id), "purge": None}:
                    return Message(bytes.fromhex(log_id), None)
                case {"log": str(log_id), "purge": dict(purge)}:
                    return Message(bytes.fromhex(log_id), purge_from_json(purge))
        except ValueError:
            pass
        return None


def position(stream_id: bytes) -> bytes:
    """A Redis stream's `milliseconds-sequence` as bytes that sort as it does. Raises `ValueError`."""
    milliseconds, _, sequence = stream_id.partition(b"-")
    try:
        return b"".join(int(part).to_bytes(_POSITION_PART_BYTES, "big") for part in (milliseconds, sequence))
    except OverflowError:
        raise ValueError("not the id of a stream's message") from None


class PurgeIndex:
    """Knows nothing at first: then no shared result is valid, and none can be written that will be."""

    def __init__(self) -> None:
        self._log_id: bytes | None = None
        self._newest = b""  # the latest log that was ever read; no older one is believed any more
        self._position = b""
        self._floor = b""  # what was written knowing less than this does not stand, whatever it is about
        self._latest: OrderedDict[bytes, bytes] = OrderedDict()  # mark -> position of its last purge
        self._awaited: dict[bytes, tuple[TagPurge, float]] = {}  # ordered here, not yet read back from the log
        self._read_ids: OrderedDict[bytes, None] = OrderedDict()

    @property
    def log_id(self) -> bytes | None:
        return self._log_id

    def next_log_id(self, now: float) -> bytes:
        """The id of a log that is opened at `now` on the wall clock: later than every log that was read."""
        epoch = max(int(now * 1000), int.from_bytes(self._newest[:_EPOCH_BYTES], "big") + 1)
        return epoch.to_bytes(_EPOCH_BYTES, "big") + secrets.token_bytes(_RANDOM_BYTES)

    def log_position(self) -> bytes:
        """The position to keep with a result that is asked for now; empty when the log is not known."""
        return b"" if self._log_id is None else self._log_id + self._position

    def is_valid(self, log_position: bytes, tags: Collection[bytes], now_s: float) -> bool:
        """Whether a shared result with this position may be used. `now_s` is the monotonic clock."""
        log_id, known = log_position[:LOG_ID_BYTES], log_position[LOG_ID_BYTES:]
        if self._log_id is None or log_id != self._log_id or known < self._floor:
            return False
        if any(until_s > now_s and purge.covers(tags) for purge, until_s in self._awaited.values()):
            return False
        return all(known >= self._latest.get(tag, b"") for tag in tags)

    def expect(self, purge: TagPurge, now_s: float, life_max_s: float) -> None:
        """What `purge` covers stands no more, until the log says so too or all of it has died of age."""
        if purge.id in self._read_ids:
            return
        if len(self._awaited) >= _AWAITED_MAX:
            self._awaited = {each: order for each, order in self._awaited.items() if order[1] > now_s}
        if len(self._awaited) >= _AWAITED_MAX:
            purge = purge_everything()
            self._awaited.clear()
        self._awaited[purge.id] = (purge, now_s + life_max_s)

    def read(self, at: bytes, message: Message | None) -> TagPurge:
        """Takes in the log's next message, which lies at position `at`, and returns what it purges locally.

        A message that cannot be read (`None`), and one of a later log, before which purges may be missing, purge
        everything. One of an earlier log is an order that came late, or of a log that was put back.
        """
        self._position = at
        purge = None
        if message is not None and message.log_id > self._newest:
            self._log_id = self._newest = message.log_id
        elif message is not None:
            purge = message.purge
            if purge is None:
                return purge_of(())  # the opening of an earlier log
            if purge.id in self._read_ids:
                return purge  # told twice: what was asked for in between is newer than the order
        if purge is None:
            purge = purge_everything()
        self._remember_read(purge)
        if message is not None and message.purge is not None:
            self._remember_read(message.purge)
        if purge.tags is None:
            self._floor = at
            self._latest.clear()
        else:
            self._cover(purge.tags, at)
        return purge

    def has_read(self, purge_id: bytes) -> bool:
        return purge_id in self._read_ids

    def restart(self) -> TagPurge:
        """Forgets everything: the log is not as it was read before, so all that was known is void, and all
        that is local.
        """
        self._log_id, self._position, self._floor = None, b"", b""
        self._latest.clear()
        self._read_ids.clear()  # what is read again counts again
        purge = purge_everything()
        self._remember_read(purge)
        return purge

    def _cover(self, tags: Collection[bytes], at: bytes) -> None:
        for tag in tags:
            self._latest[tag] = at
            self._latest.move_to_end(tag)
        while len(self._latest) > _REMEMBERED_MAX:
            # Safe, and harmless: results that were asked for before a purge so long ago have expired.
            _, self._floor = self._latest.popitem(last=False)

    def _remember_read(self, purge: TagPurge) -> None:
        self._awaited.pop(purge.id, None)
        self._read_ids[purge.id] = None
        if len(self._read_ids) > _REMEMBERED_MAX:
            self._read_ids.popitem(last=False)
