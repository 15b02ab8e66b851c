"""Say when the certificates that the file names end, and warn of those that have ended or end soon."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from gateway.config.files import shown_path
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.sections import Sections

_SOON = timedelta(days=14)


def ending_certificates(sections: Sections, now_s: float) -> Iterator[Problem]:
    """The listener's certificate at `now_s` (wall clock): the first one of its file."""
    server = sections.sections["server"]
    if server.value.tls is None:
        return
    path = str(server.value.tls.certificate)
    words = _ending(Path(path).read_bytes(), now_s)
    if words is not None:
        yield server.origin.problem(("tls", "certificate"), f"{shown_path(path)} {words}; write a new one")


def certificate_ends(config: Config) -> dict[str, float]:
    """When the first certificate of each file ends, as Unix time, by the file's key.

    It reads the files, and leaves out what it cannot read.
    """
    tls = config.server.tls
    files = {} if tls is None else {"server.tls.certificate": tls.certificate}
    ends = {}
    for where, path in files.items():
        with suppress(OSError, ValueError):
            # All of the chain: an intermediate that has ended breaks it, too.
            chain = x509.load_pem_x509_certificates(Path(path).read_bytes())
            ends[where] = min(one.not_valid_after_utc.timestamp() for one in chain)
    return ends


def _ending(pem: bytes, now_s: float) -> str | None:
    end = x509.load_pem_x509_certificate(pem).not_valid_after_utc
    now = datetime.fromtimestamp(now_s, UTC)
    if end <= now:
        return f"ended on {end:%Y-%m-%d}"
    return f"ends on {end:%Y-%m-%d}" if end - now <= _SOON else None
