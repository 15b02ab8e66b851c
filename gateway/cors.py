"""What a route with `cors` says to browsers (Fetch standard §3.2): to a preflight, and in every other response. Pure.

Both lanes say the same, because they only send what is decided here. An origin is compared as a whole, and none is
echoed that is not named. The admin listener, which has no routes of this kind, answers through aiohttp-cors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from gateway.config.route_model import Cors
from gateway.http.refusal import Refusal, challenge
from gateway.http.syntax import TOKEN

Fields = list[tuple[str, str]]
PreflightAnswer = Fields | Refusal  # the fields of a 204

VARIES: Final = ("Vary", "Origin")
_ANY: Final = "*"
_HINTS: Final = ("DPoP-Nonce", "WWW-Authenticate")
_NAMES: Final = re.compile(rf"{TOKEN}(?:, {TOKEN})*")
# It does not quote what the client sent.
_NOT_ALLOWED: Final = challenge("forbidden", "the origin, the method or a header is not allowed here")


def preflight_answer(cors: Cors, origin: str, method: str, asked_headers: Iterable[str]) -> PreflightAnswer:
    """The fields of a 204, or the refusal. `asked_headers` are all values of `Access-Control-Request-Headers`.

    A browser keeps what it is told for `max_age`, so it is told all that is allowed and not only what it asked for.
    """
    asked = _names(asked_headers)
    is_public = _ANY in cors.allow_origins
    if (not is_public and origin not in cors.allow_origins) or method not in cors.allow_methods:
        return _NOT_ALLOWED
    allowed: Sequence[str] = cors.allow_headers
    if _ANY in allowed:
        # `*` does not stand for Authorization, nor for any name where a request has credentials. So they are named.
        allowed = list(asked.values())
        if allowed and _NAMES.fullmatch(", ".join(allowed)) is None:
            return _NOT_ALLOWED
    elif asked and not asked.keys() <= {name.lower() for name in allowed}:
        return _NOT_ALLOWED
    # A public resource says so and stays cacheable.
    fields = [("Access-Control-Allow-Origin", _ANY if is_public else origin)]
    if cors.allow_credentials:
        fields.append(("Access-Control-Allow-Credentials", "true"))
    if cors.max_age is not None:
        fields.append(("Access-Control-Max-Age", str(int(cors.max_age))))
    fields.append(("Access-Control-Allow-Methods", ", ".join(cors.allow_methods)))
    if allowed:
        fields.append(("Access-Control-Allow-Headers", ", ".join(allowed)))
    return fields


def cors_fields(cors: Cors, origins: Sequence[str], *, says_how: bool = False) -> Fields:
    """The fields for a request that is not a preflight. Only the first `Origin` counts.

    `says_how`: a page has to read the challenge, or the nonce for its next proof (RFC 9449 §8.2).
    """
    allowed = cors.allow_origins
    fields: Fields = []
    if origins and (origins[0] in allowed or _ANY in allowed):
        # A public resource says so and stays cacheable; no origin is echoed that is not named.
        fields.append(("Access-Control-Allow-Origin", _ANY if _ANY in allowed else origins[0]))
        exposed = _with_hints(cors.expose_headers) if says_how else cors.expose_headers
        if exposed:
            fields.append(("Access-Control-Expose-Headers", ",".join(exposed)))
        if cors.allow_credentials:
            fields.append(("Access-Control-Allow-Credentials", "true"))
    fields.append(VARIES)
    return fields


def _names(values: Iterable[str]) -> dict[str, str]:
    """The names in these lists, in their order, each once: by its lower case, as it was written first."""
    names: dict[str, str] = {}
    for value in values:
        for part in value.split(","):
            if name := part.strip(" \t"):
                names.setdefault(name.lower(), name)
    return names


def _with_hints(names: Sequence[str]) -> list[str]:
    written = {name.lower() for name in names}
    # `*` does not stand for any name where a request has credentials.
    return [*names, *(name for name in _HINTS if name.lower() not in written)]
