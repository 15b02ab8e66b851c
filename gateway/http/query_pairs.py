"""Finds parameters of one name in a query, and takes them out of it.

A name is compared after its triplets are decoded, since each backend decodes them: `access%5Ftoken` is `access_token`.
It may stand several times; servers differ in which one counts, so all of them are found and all of them are taken out.
What is left goes on byte for byte.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import unquote_to_bytes

_SEPARATOR = "&"


def query_values(query: str, wanted: str) -> list[bytes]:
    """The decoded values of the parameters with this name, in their order. A plus sign stays one."""
    pairs = (pair.partition("=") for pair in query.split(_SEPARATOR))
    return [unquote_to_bytes(value) for name, _, value in pairs if _is_one_of(name, (wanted,))]


def without_parameters(query: str, unwanted: Collection[str]) -> str | None:
    """The query without these parameters; `None` where nothing is left of it."""
    pairs = query.split(_SEPARATOR)
    kept = [pair for pair in pairs if not _is_one_of(pair.partition("=")[0], unwanted)]
    return query if len(kept) == len(pairs) else _SEPARATOR.join(kept) or None


def _is_one_of(name: str, names: Collection[str]) -> bool:
    # Names that a route looks for have no plus sign and no blank, so whether `+` is one of these does not matter.
    return (unquote_to_bytes(name).decode("latin-1") if "%" in name else name) in names
