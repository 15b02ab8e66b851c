"""Parses names and values that go out on the wire, by the wire's own grammar (RFC 9110 §5, RFC 6749 §3.3)."""

from __future__ import annotations

import re

from gateway.config.algorithms import SIGNATURE_ALGORITHMS
from gateway.config.values import quoted
from gateway.http.header_names import FRAMING, HOP_BY_HOP, HTTPOXY, TOLD_TO_BACKENDS, fold_header_name, folded
from gateway.http.syntax import SCOPE_CHARS, TCHAR

_TOKEN = re.compile(rf"[{TCHAR}]{{1,256}}")
_VALUE = re.compile(r"[\t -~\x80-\U0010ffff]*")
_SCOPE_TOKEN = re.compile(rf"[{SCOPE_CHARS}]{{1,256}}")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{1,5})?")
# To set or remove them is to break the exchange.
_RESERVED = HOP_BY_HOP | FRAMING
# What else already has a meaning to backends, so that a claim in its place would steer more than it says.
_NO_IDENTITY = (
    _RESERVED
    | HTTPOXY
    | TOLD_TO_BACKENDS
    | folded(
        [
            "Accept",
            "Authorization",
            "Baggage",
            "Cache-Control",
            "Cookie",
            "Date",
            "Location",
            "Origin",
            "Range",
            "Referer",
            "Set-Cookie",
            "Traceparent",
            "Tracestate",
            "User-Agent",
            "Vary",
            "WWW-Authenticate",
            "X-Original-URL",
            "X-Real-IP",
            "X-Rewrite-URL",
        ]
    )
)
_NO_IDENTITY_PREFIX = ("accept-", "access-control-", "content-", "if-", "sec-", "x-forwarded-")
# What the gateway itself writes into a call to a provider, so that another value would break the call or its meaning.
_OF_CALLS = folded(["Authorization", "Accept", "Accept-Charset", "Accept-Encoding"])
# RFC 6749 §2.3.1, RFC 7521 §4.2, RFC 7662 §2.1: the parameters of a question that the gateway writes itself.
_OF_QUESTIONS = frozenset(
    ["token", "token_type_hint", "client_id", "client_secret", "client_assertion", "client_assertion_type"]
)
# What is judged or forwarded as the client's own word.
_OF_CLIENTS = HTTPOXY | folded(["Authorization", "Cookie", "Origin"])
_SEPARATORS = re.compile(r"[^0-9a-z]+")
_DEFAULT_PORT = {"http": ":80", "https": ":443"}
_REALM = re.compile(r"[A-Za-z0-9._~-]{1,100}")
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_PARAMETER_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def parse_name(value: object) -> str:
    """The name of a route or a provider, which becomes a label in metrics and logs."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"{quoted(value)} is not a name; write up to 100 letters, digits and _ . : -")
    return value


def parse_algorithm(value: object) -> str:
    """An algorithm of signatures that a public key verifies (RFC 7518 §3.1)."""
    if isinstance(value, str) and value in SIGNATURE_ALGORITHMS:
        return value
    instead = f"write one of {', '.join(sorted(SIGNATURE_ALGORITHMS))}"
    if isinstance(value, str) and value.lower() == "none":
        raise ValueError(f"a token without a signature is anybody's; {instead}")
    if isinstance(value, str) and value.upper().startswith("HS"):
        raise ValueError(f"with {quoted(value)} whoever verifies a token can make one; {instead}")
    raise ValueError(f"{quoted(value)} is not an algorithm that is verified here; {instead}")


def parse_realm(value: object) -> str:
    """What stands for `{realm}` in a URL: a part of its path that needs no encoding (RFC 3986 §2.3)."""
    if not isinstance(value, str) or not _REALM.fullmatch(value) or value in {".", ".."}:
        raise ValueError(f"{quoted(value)} is not a realm; write up to 100 letters, digits and - . _ ~")
    return value


def parse_header_name(value: object) -> str:
    """A field name as written; its case is kept for the wire."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ValueError(f"{quoted(value)} is not a header name; write letters, digits and dashes, such as X-User-Id")
    if not fold_header_name(value):
        # Names are compared by their letters and digits: this one would be each of its kind.
        raise ValueError(f"{quoted(value)} has neither letter nor digit; write a name such as X-User-Id")
    if fold_header_name(value) in _RESERVED:
        raise ValueError(f"{value} belongs to the connection, which the gateway keeps; leave it out")
    return value


def parse_cors_header_name(value: object) -> str:
    """A field name that pages of other sites may send or read; `*` is any."""
    return "*" if value == "*" else parse_header_name(value)


def parse_identity_name(value: object) -> str:
    """The name of a header that tells a backend who is calling."""
    if isinstance(value, str) and _TOKEN.fullmatch(value):
        words = _SEPARATORS.sub("-", value.lower())  # If-User has a meaning of its own, Iframe-User has none
        if fold_header_name(value) in _NO_IDENTITY or words.startswith(_NO_IDENTITY_PREFIX):
            raise ValueError(f"{value} has a meaning of its own on the wire; write a name such as X-User-Id")
    return parse_header_name(value)


def parse_trusted_name(value: object) -> str:
    """The name of a header that only trusted proxies may send."""
    name = parse_header_name(value)
    if fold_header_name(name) in TOLD_TO_BACKENDS:
        raise ValueError(f"{name} is believed of trusted proxies anyway, and made anew for backends; leave it out")
    if fold_header_name(name) in _OF_CLIENTS:
        raise ValueError(f"{name} is the client's to send, and no proxy's; leave it out")
    return name


def parse_header_value(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(
            f"{quoted(value)} is not a header value; write a text, in quotes where YAML reads something else"
        )
    text = str(value).strip(" \t")
    if not _VALUE.fullmatch(text):
        raise ValueError("the header value has a control character; write it without line breaks")
    return text


def parse_call_header_name(value: object) -> str:
    """The name of a header that goes out with a call to a provider; `Host` may be one."""
    if isinstance(value, str) and fold_header_name(value) == "host":
        return "Host"
    if isinstance(value, str) and fold_header_name(value) in _OF_CALLS:
        instead = "write client_auth, or auth: bearer" if value.lower() == "authorization" else "leave it out"
        raise ValueError(f"{value} is written by the gateway itself; {instead}")
    if isinstance(value, str) and value.lower().startswith("content"):
        raise ValueError(f"{value} describes the form, which the gateway writes itself; leave it out")
    return parse_header_name(value)


def parse_parameter_name(value: object) -> str:
    """The name of a parameter that goes out with a question to a provider (RFC 6749 appendix A)."""
    if not isinstance(value, str) or not _PARAMETER_NAME.fullmatch(value):
        raise ValueError(f"{quoted(value)} is not the name of a parameter; write up to 100 letters, digits and _ . -")
    if value.lower() in _OF_QUESTIONS:
        instead = "write token_type_hint: beside parameters" if value.lower() == "token_type_hint" else "leave it out"
        raise ValueError(f"{value} is written by the gateway itself; {instead}")
    return value


def parse_parameter_value(value: object) -> str:
    """The value of such a parameter. It may be a secret, so no message quotes it."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("this is not a parameter's value; write a text, in quotes where YAML reads something else")
    return str(value)


def parse_hint(value: object) -> str:
    """A `token_type_hint` (RFC 7662 §2.1) of tokens that callers may show."""
    if not isinstance(value, str) or not _PARAMETER_NAME.fullmatch(value):
        raise ValueError(f"{quoted(value)} is not a type of token; write access_token, or null for no hint")
    if value.lower() in {"refresh_token", "id_token"}:
        raise ValueError(f"{value} is not what callers may show; write access_token, or null for no hint")
    return value


def parse_method(value: object) -> str:
    """A method, case-sensitive (RFC 9110 §9.1)."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ValueError(f"{quoted(value)} is not a method; write one such as GET")
    if value != value.upper():
        raise ValueError(f"methods are case-sensitive and {quoted(value)} is not in capitals; write {value.upper()}")
    if value == "*":  # a token, and surely not meant as one
        raise ValueError("'*' does not stand for any method; leave methods out for that")
    if value in {"CONNECT", "TRACE", "PRI"}:
        raise ValueError(f"{value} is refused in every request; leave it out")
    return value


def parse_origin(value: object) -> str:
    """An origin as browsers send it (RFC 6454 §6.1), or `*`."""
    if value == "*":
        return "*"
    if not isinstance(value, str) or not _ORIGIN.fullmatch(value):
        raise ValueError(
            f"{quoted(value)} is not an origin; "
            "write scheme://host in small letters, without path or wildcard, or only *"
        )
    scheme = value.partition(":")[0]
    if scheme in _DEFAULT_PORT and value.endswith(_DEFAULT_PORT[scheme]):
        without = value.removesuffix(_DEFAULT_PORT[scheme])
        raise ValueError(f"browsers leave the port of {value} out, so it never matches; write {without}")
    return value


def parse_scope(value: object) -> str:
    if isinstance(value, str) and _SCOPE_TOKEN.fullmatch(value):
        return value
    raise ValueError(f"{quoted(value)} is not a scope; write one scope per list item, without blanks")


def parse_acr(value: object) -> str:
    """An authentication context class, which also goes into a challenge (RFC 9470 §3)."""
    if isinstance(value, str) and _SCOPE_TOKEN.fullmatch(value):
        return value
    raise ValueError(f"{quoted(value)} is not a value of acr; write one per list item, without blanks and quotes")


def parse_text(value: object) -> str:
    """A text that is compared with a claim, and is not empty."""
    if isinstance(value, str) and value:
        return value
    raise ValueError(f"{quoted(value)} is not a text to compare with; write one per list item, in quotes if need be")
