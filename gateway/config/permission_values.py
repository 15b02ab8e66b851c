"""Resources and scopes of permissions, and URIs that name a resource: how the file writes them.

A permission goes to the provider as `resource#scope,scope`. So neither part has `#` or `,` in it.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from gateway.config.claim_paths import Template, parse_template_text
from gateway.config.values import quoted

_SEPARATORS = re.compile(r"[#,]")
_UNPRINTED = re.compile(r"[\x00-\x1f\x7f]")


def parse_permission_resource(value: object) -> Template | str:
    """The name of a resource, perhaps with captures of the path in it."""
    if isinstance(value, Template):
        return value
    if not isinstance(value, str) or not value:
        raise ValueError(f"{quoted(value)} is not a resource; write its name at the provider, such as order/{{id}}")
    _refuse_separators(value)
    return parse_template_text(value)


def parse_permission_scope(value: object) -> str:
    """One scope of a resource. Unlike a scope of a token (RFC 6749 §3.3) it may have blanks in it."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{quoted(value)} is not a scope; write one per list item, such as view")
    _refuse_separators(value)
    return value


def parse_absolute_uri(value: object) -> str:
    """An absolute URI without a fragment (RFC 8707 §2, RFC 8693 §2.1)."""
    parts = urlsplit(value) if isinstance(value, str) and value.isascii() else None
    if parts is None or not parts.scheme or not (parts.netloc or parts.path) or "#" in str(value):
        what = "is not an absolute URI; write one such as https://orders.example.com, without a fragment"
        raise ValueError(f"{quoted(value)} {what}")
    return str(value)


def _refuse_separators(value: str) -> None:
    if _SEPARATORS.search(value):
        raise ValueError(f"{quoted(value)} has # or , in it, which part resource and scopes; write another name")
    if _UNPRINTED.search(value):
        raise ValueError(f"{quoted(value)} has a control character in it; write the name as the provider has it")
