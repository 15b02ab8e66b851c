"""The cases of `gateway test`: requests, their callers, and the expected decisions.

cases:
  - name: bob may not read orders
    request: GET https://api.example.com/orders/7
    claims: {sub: bob, scope: ""}
    expect: {decision: refuse, status: 403, code: insufficient_scope, route: orders}
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from gateway.config.load import read_text
from gateway.config.messages import problems_of
from gateway.config.model_base import Model
from gateway.config.node import Origin, plain
from gateway.config.problems import ConfigError
from gateway.config.values import quoted
from gateway.config.yaml_reader import read_yaml
from gateway.http.refusal import STATUS_OF_CODE
from gateway.http.syntax import TCHAR
from gateway.runtime.offline import split_url

_REQUEST = re.compile(rf"([{TCHAR}]{{1,64}}) (\S+)")


def _parse_request(value: object) -> str:
    found = _REQUEST.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{quoted(value)} is not a method and a URL; write GET https://api.example.com/orders/7")
    split_url(found[2])
    return found[0]


def _parse_code(value: object) -> str:
    if not isinstance(value, str) or value not in STATUS_OF_CODE:
        raise ValueError(
            f"{quoted(value)} is not a code of a refusal; write one of {', '.join(sorted(STATUS_OF_CODE))}"
        )
    return value


class Expected(Model):
    """Holds what is expected; only what is written is compared.

    `headers` are those to the backend; null means that the header is absent.
    """

    decision: Literal["allow", "refuse"] | None = None
    status: Annotated[int, Field(ge=100, le=599)] | None = None
    code: Annotated[str, BeforeValidator(_parse_code)] | None = None
    route: str | None = None
    headers: dict[str, str | None] = Field(default_factory=dict)


class Case(Model):
    """Describes a request and its caller.

    `claims` are those of the caller's introspection. Without them, and without `inactive`, the request has no token.
    """

    name: Annotated[str, Field(min_length=1)]
    request: Annotated[str, BeforeValidator(_parse_request)]
    headers: dict[str, str] = Field(default_factory=dict)
    claims: dict[str, Any] | None = None
    inactive: bool = False
    expect: Expected

    @model_validator(mode="after")
    def _one_answer(self) -> Case:
        if self.inactive and self.claims is not None:
            raise ValueError("a token that is not active has no claims; write claims or inactive: true")
        return self

    @property
    def method(self) -> str:
        return self.request.partition(" ")[0]

    @property
    def url(self) -> str:
        return self.request.partition(" ")[2]


class Cases(Model):
    cases: Annotated[tuple[Case, ...], Field(min_length=1)]


def load_cases(path: str) -> tuple[tuple[int, Case], ...]:
    """The cases in the file at `path`, each with its line. Raises `ConfigError` with every problem."""
    root, problems = read_yaml(read_text(path), "cases: and a list under it")
    if root is None or problems:
        raise ConfigError(path, problems)
    origin = Origin((), 1, root)
    try:
        read = Cases.model_validate(plain(root))
    except ValidationError as error:
        raise ConfigError(path, problems_of(error, Cases, origin)) from None
    return tuple((origin.find(("cases", index)).line, case) for index, case in enumerate(read.cases))
