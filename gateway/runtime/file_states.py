"""What files hold, so that a change can be told from a touch: a digest of each, and a stamp that spares reading it.

The stamp is of the file at the end of all symbolic links, so that a swapped link shows as another file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

# A file that is larger is no configuration and no certificate; its stamp alone tells.
_READ_MAX_BYTES = 32 * 2**20

Digest = bytes | None  # None: there is no such file, or it cannot be read
_Stamp = tuple[int, ...] | None


class FileStates:
    """Remembers what some files held. `follow` says which files, `changed` which of them hold something else now."""

    def __init__(self) -> None:
        self._digests: dict[Path, Digest] = {}
        self._stamps: dict[Path, _Stamp] = {}

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(self._digests)

    def had(self, path: Path) -> bool:
        """Whether the file was there when it was read."""
        return self._digests.get(path) is not None

    def follow(self, digests: Mapping[Path, Digest]) -> None:
        """Compare with these digests from now on."""
        self._digests = dict(digests)
        self._stamps = {}

    def changed(self) -> tuple[Path, ...]:
        """The files whose content is not what is remembered. Blocks, as reading does."""
        return tuple(path for path in self._digests if self._is_changed(path))

    def accept(self) -> None:
        """Remember what the files hold now. Blocks, as reading does."""
        self.follow(digests_of(self._digests))

    def _is_changed(self, path: Path) -> bool:
        stamp = _stamp(path)
        if path in self._stamps and self._stamps[path] == stamp:
            return False
        if digest_of(path) != self._digests[path]:
            return True
        self._stamps[path] = stamp  # taken before the content was read: what is written later has another one
        return False


def digests_of(paths: Iterable[Path]) -> dict[Path, Digest]:
    return {path: digest_of(path) for path in paths}


def digest_of(path: Path) -> Digest:
    try:
        if not path.is_file():  # a device or a pipe could block for ever
            return None
        with path.open("rb") as file:
            return digest_of_bytes(file.read(_READ_MAX_BYTES))
    except OSError:
        return None


def digest_of_bytes(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def directories_of(paths: Iterable[Path]) -> frozenset[Path]:
    """The directories in which a change of these files shows: their own, and those of all links on the way there.

    Directories that are missing are left out.
    """
    found: set[Path] = set()
    for path in paths:
        found |= _directories_on_the_way(path)
    return frozenset(directory for directory in found if directory.is_dir())


def _directories_on_the_way(path: Path) -> set[Path]:
    found: set[Path] = set()
    waiting = [Path(os.path.abspath(path))]  # noqa: PTH100 - resolve() would hide the links
    while waiting and len(found) < 40:  # noqa: PLR2004 - as many links as the kernel follows; they may form a circle
        one = waiting.pop()
        if one.parent in found:
            continue
        found.add(one.parent)
        for step in (one, *one.parents):
            if step.is_symlink():
                found.add(step.parent)
                waiting.append(Path(os.path.normpath(step.parent / step.readlink() / one.relative_to(step))))
    return found


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
