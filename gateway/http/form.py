"""`application/x-www-form-urlencoded`, read so that it has one meaning or none (WHATWG URL §5, RFC 6749 appendix B).

Readers differ over what is not quite a form: which of two equal names counts, what a broken triplet is, whether `;`
parts. Where a token decides what happens next, nothing is guessed.
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
    """The text says why, without quoting."""


def media_type(values: Sequence[str]) -> str | None:
    """The one media type of all `Content-Type` values, in small letters; `None` where there is not exactly one.

    `None`, too, for a charset that is not UTF-8: nothing is read in another.
    """
    if len(values) != 1 or (match := _MEDIA_TYPE.fullmatch(values[0])) is None:
        return None
    charset = _CHARSET.search(values[0])
    if charset is not None and charset[1].strip().lower() not in {"utf-8", "utf8", "us-ascii"}:
        return None
    return match[1].lower()


def read_form(body: bytes, triplets_max: int | None = None) -> dict[str, str]:
    """The pairs of a form, of which no two have one name. Raises `FormError`.

    `triplets_max` is for what somebody sends who has not shown who he is: to decode one takes a while.
    """
    if triplets_max is not None and body.count(b"%") > triplets_max:
        raise FormError("the form has too many percent triplets")
    if body.count(b"&") > 2 * _PAIRS_MAX:  # empty ones are no pairs
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
