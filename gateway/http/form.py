"""Reads `application/x-www-form-urlencoded` so that it has one meaning or none (WHATWG URL §5, RFC 6749 appendix B).

Readers treat faulty forms differently: which of two equal names counts, how a broken triplet is read, whether `;` is a
separator. A form may hold a token that decides what happens next, so this reader refuses such forms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from gateway.http.syntax import TOKEN

_PAIRS_MAX = 64
_FORM = re.compile(rb"[!-$&-~]*+(?:%[0-9A-Fa-f]{2}[!-$&-~]*+)*+")
_MEDIA_TYPE = re.compile(rf"[ \t]*({TOKEN}/{TOKEN})[ \t]*(?:;[\t -~]*)?")
_CHARSET = re.compile(r";[ \t]*charset=\"?([^\";]*)\"?", re.IGNORECASE)
FORM = "application/x-www-form-urlencoded"


class FormError(ValueError):
    """Says why a form is refused, without quoting it."""


def media_type(values: Sequence[str]) -> str | None:
    """The media type of all `Content-Type` values, in lower case; `None` where there is not exactly one.

    `None`, too, for a charset other than UTF-8: the gateway reads no other.
    """
    if len(values) != 1 or (match := _MEDIA_TYPE.fullmatch(values[0])) is None:
        return None
    charset = _CHARSET.search(values[0])
    if charset is not None and charset[1].strip().lower() not in {"utf-8", "utf8", "us-ascii"}:
        return None
    return match[1].lower()


def read_form(body: bytes, triplets_max: int | None = None) -> dict[str, str]:
    """The pairs of a form; no two have the same name. Raises `FormError`.

    `triplets_max` bounds the triplets from a sender that is not authenticated, because decoding them takes time.
    """
    if triplets_max is not None and body.count(b"%") > triplets_max:
        raise FormError("the form has too many percent triplets")
    if body.count(b"&") > 2 * _PAIRS_MAX:  # an empty part is not a pair
        raise FormError("the form has too many pairs")
    if not _FORM.fullmatch(body):
        raise FormError("the form has a character or a percent triplet that no form has")
    pieces = [piece for piece in body.split(b"&") if piece]
    if len(pieces) > _PAIRS_MAX:
        raise FormError("the form has too many pairs")
    pairs: dict[str, str] = {}
    for piece in pieces:
        name, _, value = (_decoded(part) for part in piece.partition(b"="))
        if name in pairs:
            raise FormError("a name stands twice in the form")
        pairs[name] = value
    return pairs


def _decoded(part: bytes) -> str:
    try:
        return unquote_to_bytes(part.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise FormError("the form is not UTF-8") from None
