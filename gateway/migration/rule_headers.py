"""What the mutators of an access rule tell the backend, as identity headers and headers that are set.

Of Go's templates only those are carried over that print one value of the caller's: `{{ print .Subject }}`,
`{{ .Extra.email }}`, `{{ index .Extra "email" }}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.migration.access_rules import Handler, printable
from gateway.migration.rule_authentication import CarriedAuthentication, NotLikeThatError

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_SUBJECT = re.compile(r"\{\{-?\s*(?:print\s+)?\.Subject\s*-?\}\}")
_EXTRA = re.compile(rf"\{{\{{-?\s*(?:print\s+)?\.Extra\.({_NAME}(?:\.{_NAME})*)\s*-?\}}\}}")
_INDEXED = re.compile(r'\{\{-?\s*index\s+\.Extra\s+"([^"\s.]+)"\s*-?\}\}')
# Oathkeeper puts these of the introspection's answer beside what stands below `ext`.
_BESIDE_EXT = frozenset({"username", "client_id", "scope", "aud"})
_INSTEAD = {
    "id_token": "backends would verify another token; write identity.token and signing (docs/signed-identity.md)",
    "cookie": "cookies are not made here; write identity.headers",
    "hydrator": "nobody else is asked about the caller; put what it adds into the token's claims",
}


@dataclass(slots=True)
class ToldHeaders:
    """`identity`: header to claim path. `constant`: header to text. `absent`: what no client may say in their place."""

    identity: dict[str, str] = field(default_factory=dict)
    constant: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def told_headers(mutators: tuple[Handler, ...], authentication: CarriedAuthentication) -> ToldHeaders:
    """Raises `NotLikeThatError`."""
    told = ToldHeaders()
    for mutator in mutators:
        if mutator.name == "header":
            headers = mutator.config.get("headers")
            for name, template in headers.items() if isinstance(headers, Mapping) else ():
                _tell(told, str(name), str(template), authentication)
        elif mutator.name != "noop":
            instead = _INSTEAD.get(mutator.name, "write identity.headers")
            raise NotLikeThatError(f"the mutator {mutator.name} has nothing like it here; {instead}")
    return told


def _tell(told: ToldHeaders, name: str, template: str, authentication: CarriedAuthentication) -> None:
    told.identity.pop(name, None)
    told.constant.pop(name, None)
    if "{{" not in template:
        told.constant[name] = template
        return
    path = _claim_path(template.strip(), authentication)
    if path is None:
        raise NotLikeThatError(f"the template {printable(template)} of {printable(name)} is not one claim")
    if not authentication.is_open:
        told.identity[name] = path
        if authentication.subject and path == "sub":
            told.notes.append(f"{name} is absent for a caller without a token, and no longer {authentication.subject}")
    elif path == "sub" and authentication.subject:
        told.constant[name] = authentication.subject
    else:
        told.absent.append(name)
        told.notes.append(f"{name} is absent: nobody is asked who calls")


def _claim_path(template: str, authentication: CarriedAuthentication) -> str | None:
    if _SUBJECT.fullmatch(template):
        return "sub"
    found = _EXTRA.fullmatch(template) or _INDEXED.fullmatch(template)
    if found is None:
        return None
    path = found[1]
    return path if path in _BESIDE_EXT else authentication.claims_below + path
