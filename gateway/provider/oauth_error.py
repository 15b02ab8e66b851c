"""The error of a provider that refuses a call: `error` and `error_description` (RFC 6749 §5.2, RFC 7662 §2.3).

It is for the operator's log and never for a client. A provider may repeat in it what it was sent, so secrets are
removed before it is logged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.http import strict_json
from gateway.http.syntax import B64TOKEN_CHARS

_TOLD_MAX_CHARS = 200
# A provider's error response is one object of a few hundred bytes.
_BODY_MAX_BYTES = 16 * 2**10
_CONTAINERS_MAX = 32
# No word is that long, and few secrets made by a machine are shorter: a token that the provider cut, our assertion, our
# credentials in Base64.
_LONG = re.compile(rf"[{B64TOKEN_CHARS}=%]{{40,}}")


@dataclass(frozen=True, slots=True)
class OAuthError:
    """Holds both texts as the provider wrote them. Only `redacted` may be logged."""

    error: str
    description: str | None = None

    def redacted(self, hidden: Iterable[str] = ()) -> str:
        """Both texts in one line of at most 200 characters, without controls and without any of `hidden`."""
        words = self.error if self.description is None else f"{self.error}: {self.description}"
        for secret in filter(None, hidden):
            words = words.replace(secret, "…")
        words = _LONG.sub("…", "".join(one if one.isprintable() else " " for one in words))
        return words if len(words) <= _TOLD_MAX_CHARS else words[: _TOLD_MAX_CHARS - 1] + "…"


def read_oauth_error(body: bytes) -> OAuthError | None:
    """The error in a response's body; `None` for a body that is not in this form."""
    if len(body) > _BODY_MAX_BYTES:
        return None
    try:
        document = strict_json.loads(body, containers_max=_CONTAINERS_MAX)
    except strict_json.JSONError:
        return None
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, str) or not error:
        return None
    description = document.get("error_description")
    return OAuthError(error, description if isinstance(description, str) and description else None)
