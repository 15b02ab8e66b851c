"""Keeps secrets out of the messages and tracebacks of libraries, which do not know what is secret.

Our own lines are built from fields that hold no secret. A library's error may quote a header, a URL or a form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gateway.http.syntax import B64TOKEN_CHARS

_SHOWN = "[redacted]"
# A shorter text would turn up by chance and make every line unreadable.
_SECRET_MIN_CHARS = 6
_TEXT_MAX_CHARS = 64 * 2**10
_CREDENTIALS = re.compile(rf"\b(bearer|basic|dpop)\s+[{B64TOKEN_CHARS}=]{{4,}}", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){0,3}")
_USERINFO = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s/@'\"]{1,500}@")
_PAIR = re.compile(
    r"\b((?:access_|refresh_|id_|subject_|actor_)?token|client_secret|client_assertion|password|passwd|secret"
    r"|code_verifier)(['\"]?\s*[=:]\s*['\"]?)[^\s&'\",;)}\]]+",
    re.IGNORECASE,
)


class Redactor:
    """Replaces the given secrets, and everything that looks like a credential, in a text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first: one may begin with another.
        known = sorted({s for s in secrets if len(s) >= _SECRET_MIN_CHARS}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, text: str) -> str:
        text = text[:_TEXT_MAX_CHARS]
        if self._known is not None:
            text = self._known.sub(_SHOWN, text)
        text = _CREDENTIALS.sub(rf"\1 {_SHOWN}", text)
        text = _JWT.sub(_SHOWN, text)
        text = _USERINFO.sub(rf"\1{_SHOWN}@", text)
        return _PAIR.sub(rf"\1\2{_SHOWN}", text)
