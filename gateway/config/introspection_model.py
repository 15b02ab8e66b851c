"""How a provider is asked about a token, as the configuration names it; see `gateway.config.provider_model`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from gateway.config.model_base import Model
from gateway.config.problems import Loc, WrongAt
from gateway.config.value_types import HeaderValue, text
from gateway.config.wire_values import parse_call_header_name, parse_hint, parse_parameter_name, parse_parameter_value
from gateway.http.header_names import fold_header_name

CallHeaderName = Annotated[str, BeforeValidator(parse_call_header_name), text()]
ParameterName = Annotated[str, BeforeValidator(parse_parameter_name), text()]
ParameterValue = Annotated[str, BeforeValidator(parse_parameter_value), text()]
Hint = Annotated[str, BeforeValidator(parse_hint), text(examples=["access_token"])]


class IntrospectionSettings(Model):
    """How the introspection endpoint is asked, and in which form it answers."""

    accept: Literal["json", "jwt", "keycloak_jwt"] = "json"
    """json: RFC 7662. jwt: the answer is signed (RFC 9701) by the provider's keys, for client_id; any other answer is
    503. keycloak_jwt: JSON too, with a JWT in its member jwt, for authorization: {phantom: true}. Default json."""

    token_type_hint: Hint | None = "access_token"  # noqa: S105 - the name of a type
    """What the token is said to be. null: nothing is said. Default access_token."""

    headers: dict[CallHeaderName, HeaderValue] = Field(default_factory=dict, repr=False)
    """Sent with the question, such as Host or an API key; not Authorization, Accept or Content-*. Default none."""

    parameters: dict[ParameterName, ParameterValue] = Field(default_factory=dict, repr=False)
    """Put into the question's form; not token, token_type_hint or the client's credentials. Default none."""

    auth: Literal["client", "bearer"] = "client"
    """client: by client_auth. bearer: by an access token of the gateway's own, which the token endpoint gives it for
    client_auth (RFC 7662 §2.1). Default client."""

    @model_validator(mode="after")
    def _names_differ(self) -> IntrospectionSettings:
        first: dict[str, str] = {}
        twins: list[tuple[Loc, str]] = [
            (("headers", name), f"{name} and {other} are one header to a server; keep one")
            for name in self.headers
            if (other := first.setdefault(fold_header_name(name), name)) != name
        ]
        if twins:
            raise WrongAt(twins)
        return self
