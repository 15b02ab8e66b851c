"""Claims as the file names them: dotted paths, and the values a route asks for.

A value is compared with its type. A text may take parts of the matched path in: `"{tenant}"`, `"org-{tenant}"`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from gateway.config.problems import Loc, WrongAt
from gateway.config.values import quoted

_CAPTURE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,63})\}")
_PATH_DEPTH_MAX = 16

ClaimPath = tuple[str, ...]
Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Template:
    """A text with captures of the path in it: literal texts at even places, names of captures at odd ones."""

    parts: tuple[str, ...]

    @property
    def captures(self) -> frozenset[str]:
        return frozenset(self.parts[1::2])

    def __str__(self) -> str:
        """As the file has it."""
        return "".join(f"{{{part}}}" if place % 2 else part for place, part in enumerate(self.parts))


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """The claim at `path` must equal one of `accepted`."""

    path: ClaimPath
    accepted: tuple[Scalar | Template, ...]

    @property
    def captures(self) -> frozenset[str]:
        return frozenset().union(*(a.captures for a in self.accepted if isinstance(a, Template)))

    def __str__(self) -> str:
        """The claim's name. Its value may be personal, and is not shown."""
        return ".".join(self.path)


def parse_claim_path(value: object) -> ClaimPath:
    """`realm_access.roles` as its keys."""
    if isinstance(value, tuple):
        return value
    if not isinstance(value, str) or not value or "" in value.split("."):
        raise ValueError(
            f"{quoted(value)} is not a claim; write a name, or names joined by dots such as realm_access.roles"
        )
    if not value.isprintable():
        raise ValueError(f"{quoted(value)} has a control character in it; write the claim's name as the token has it")
    path = tuple(value.split("."))
    if len(path) > _PATH_DEPTH_MAX:
        raise ValueError(f"{quoted(value)} is deeper than {_PATH_DEPTH_MAX} names; write a claim that lies higher")
    return path


def parse_claim_rules(value: object) -> tuple[ClaimRule, ...]:
    """Parse `{acr: [silver, gold], tenant: "{tenant}"}` as rules. A token must meet all of them."""
    if isinstance(value, tuple):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"{quoted(value)} is not a mapping; write claim: value, or claim: [one, of, these]")
    rules: list[ClaimRule] = []
    wrongs: list[tuple[Loc, str]] = []
    for path, wanted in value.items():
        try:
            rules.append(ClaimRule(parse_claim_path(path), _accepted(wanted)))
        except WrongAt as error:
            wrongs += [((path, *loc), what) for loc, what in error.wrongs]
        except ValueError as error:
            wrongs.append(((path,), str(error)))
    if wrongs:
        raise WrongAt(wrongs)
    return tuple(rules)


def _accepted(wanted: object) -> tuple[Scalar | Template, ...]:
    if not isinstance(wanted, list):
        return (_scalar(wanted),)
    if not wanted:
        raise ValueError("the list is empty, so no token could pass; write the accepted values")
    accepted: list[Scalar | Template] = []
    wrongs: list[tuple[Loc, str]] = []
    for index, value in enumerate(wanted):
        try:
            accepted.append(_scalar(value))
        except ValueError as error:
            wrongs.append(((index,), str(error)))
    if wrongs:
        raise WrongAt(wrongs)
    return tuple(accepted)


def parse_template_text(value: str) -> Template | str:
    """`value` as it stands, or a template where it has captures of the path in it."""
    parts = tuple(_CAPTURE.split(value))
    return Template(parts) if len(parts) > 1 else value


def _scalar(value: object) -> Scalar | Template:
    if isinstance(value, str):
        return parse_template_text(value)
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(f"{quoted(value)} cannot be compared; write a text, a number, true or false, or a list of them")


def parse_authorization_detail(value: object) -> dict[str, Any]:
    """What one element of `authorization_details` must have (RFC 9396 §2): an object with its `type`."""
    if not isinstance(value, dict):
        raise ValueError("an authorization detail is an object; write {type: payment, actions: [read]}")
    if not isinstance(value.get("type"), str) or not value["type"]:
        raise ValueError("an authorization detail has a type; write {type: payment, actions: [read]}")
    return value
