"""The page of the admin listener: one file with everything in it. A browser lets it ask this listener, and no more.

Its style and its script are allowed by their digests (CSP 3 §2.3.1), and nothing else is: no foreign source, no inline
handler, no form target, no frame. So even text that found its way into the document could neither run nor load. The
script makes text nodes alone, and keeps the admin token nowhere but in its field.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Page:
    text: str
    headers: Mapping[str, str]


@cache
def page() -> Page:
    text = (files("gateway.admin") / "page.html").read_text("utf-8")
    return Page(text, _headers(text))


def _headers(text: str) -> dict[str, str]:
    policy = {
        "default-src": "'none'",
        "style-src": _digest(text, "style"),
        "script-src": _digest(text, "script"),
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def _digest(text: str, element: str) -> str:
    """The one element of this name as a source of the policy."""
    [content] = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"
