"""Compares the URL in a proof with that of the request (RFC 9449 §4.3, check 9), without query and fragment.

Both are normalised before (RFC 3986 §6.2.2 and §6.2.3): scheme and host without case, triplets in canonical form, no
dot segments, no port that is the scheme's own, and an empty path is `/`. A client may have written its URL in any of
these ways.
"""

from __future__ import annotations

import re

from gateway.http.host import canonical_host
from gateway.http.percent import canonical_percent, has_bad_triplet

_URI = re.compile(
    r"((?i:https?))://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{0,5}))?(/[!\"$->@-~]*)?(?:\?[!-\"$-~]*)?(?:#[!-~]*)?"
)
# A triplet is three times as long as what it stands for, and a port may be written out. Whatever is longer is another
# URL. Nobody has paid yet for a proof that is read, so it must not cost more than its request.
_TIMES_MAX = 3
_MORE_MAX_CHARS = 64
_DEFAULT_PORT = {"http": "80", "https": "443"}


def is_same_resource(claimed: str, requested: str) -> bool:
    """Whether both are URLs, and equal."""
    if len(claimed.partition("#")[0].partition("?")[0]) > _TIMES_MAX * len(requested) + _MORE_MAX_CHARS:
        return False
    claimed_form = normal_form(claimed)
    return claimed_form is not None and claimed_form == normal_form(requested)


def normal_form(uri: str) -> str | None:
    """The URL without query and fragment; `None` for what is not an http or https URL with a host."""
    match = _URI.fullmatch(uri)
    if match is None or has_bad_triplet(match[4] or ""):
        return None
    scheme, host, port, path = match[1].lower(), canonical_host(match[2]), match[3] or "", match[4] or "/"
    if host is None:
        return None
    port = "" if port == _DEFAULT_PORT[scheme] else port
    return f"{scheme}://{host}{':' if port else ''}{port}{_without_dots(canonical_percent(path))}"


def _without_dots(path: str) -> str:
    """RFC 3986 §5.2.4."""
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", "..") and kept:
        kept.append("")
    return "/" + "/".join(kept)
