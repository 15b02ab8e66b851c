"""What goes out with each question to one introspection endpoint (RFC 7662 §2.1, RFC 9701 §4), as it is configured.

The gateway's own header fields and parameters always win: a configured one cannot replace the token, the credentials or
the form in which the response is asked for. The configuration refuses those names, so this never shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.authn.bearer import Token
from gateway.config.introspection_model import IntrospectionSettings
from gateway.provider.client_auth import Credentials

Pairs = tuple[tuple[str, str], ...]

SIGNED = "application/token-introspection+jwt"
_ACCEPT = {"json": "application/json", "jwt": SIGNED, "keycloak_jwt": "application/jwt"}
# Shorter values are parts of many words, and are not secrets.
_SECRET_MIN_CHARS = 6


@dataclass(frozen=True, slots=True)
class IntrospectionRequest:
    """Makes the form and the header fields of a question. Values of the configuration may be secrets."""

    accept: str = _ACCEPT["json"]
    hint: str | None = "access_token"
    headers: Pairs = field(default=(), repr=False)
    parameters: Pairs = field(default=(), repr=False)

    def pairs(self, token: Token, credentials: Credentials) -> Pairs:
        hint = () if self.hint is None else (("token_type_hint", self.hint),)
        return (("token", token.value), *hint, *self.parameters, *credentials.pairs)

    def fields(self, credentials: Credentials) -> Pairs:
        return (*self.headers, ("Accept", self.accept), *credentials.headers)

    @property
    def wants_phantom(self) -> bool:
        return self.accept == _ACCEPT["keycloak_jwt"]

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not reach a log."""
        return tuple(value for _, value in (*self.headers, *self.parameters) if len(value) >= _SECRET_MIN_CHARS)


def introspection_request(settings: IntrospectionSettings) -> IntrospectionRequest:
    headers, parameters = tuple(settings.headers.items()), tuple(settings.parameters.items())
    return IntrospectionRequest(_ACCEPT[settings.accept], settings.token_type_hint, headers, parameters)
