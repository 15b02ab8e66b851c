"""Keeps a response out of shared caches (RFC 9111 §5.2.2.7), because the URL that it answers has a token in it.

A shared cache finds responses by their URL, and would keep the token with it. RFC 6750 §2.3 wants `private`.
"""

from __future__ import annotations

import re

from gateway.http.header_names import fold_header_name as fold

_LINE_END = b"\r\n"
_CACHE_CONTROL = "cachecontrol"
# Targeted fields (RFC 9213) and what surrogates read instead: each of them would overrule `Cache-Control`.
_OVERRULING = ("surrogatecontrol",)
_OVERRULING_END = "cachecontrol"
_PRIVATE = b"private"
# Directives that speak of shared caches alone, and `private` itself, which may name fields.
_SHARED = frozenset({b"public", b"s-maxage", _PRIVATE})
_DIRECTIVE = re.compile(rb'[ \t]*((?:[^,"]|"(?:[^"\\]|\\.)*")*)')


def made_private(fields: bytes) -> bytes:
    """Field lines, each with its end, in which `Cache-Control` says `private`. What else it says stays."""
    directives: list[bytes] = []
    kept: list[bytes] = []
    for line in fields.split(_LINE_END)[:-1]:
        name, _, value = line.partition(b":")
        folded = fold(name.decode("latin-1"))
        if folded == _CACHE_CONTROL:
            directives += [found.strip() for found in _DIRECTIVE.findall(value)]
        elif not folded.endswith(_OVERRULING_END) and folded not in _OVERRULING:
            kept.append(line)
    said = [one for one in directives if one and one.partition(b"=")[0].strip().lower() not in _SHARED]
    kept.append(b"Cache-Control: " + b", ".join([*said, _PRIVATE]))
    return _LINE_END.join(kept) + _LINE_END
