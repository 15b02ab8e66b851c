"""What the backend gets in the place of the caller's token, as the configuration names it; see `gateway.config.model`.

`authorization` is a word, `strip` or `keep`, or a mapping with exactly one of the forms below.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from gateway.config.model_base import KeyMark, Model
from gateway.config.value_types import ONE_OR_MANY, AbsoluteUri, Flag, OneOrMany, Scope, Text

# pydantic puts them into the place of an error; `gateway.config.messages` takes every step in brackets out again.
_WORD, _FORM = "[word]", "[form]"
FORMS = ("exchange", "client_credentials", "phantom")


class ExchangeSettings(Model):
    """A token for the backend in exchange for the caller's (RFC 8693). What is named here goes to the provider."""

    audience: Annotated[tuple[Text, ...], OneOrMany, ONE_OR_MANY] = ()
    """Who the token is for, as the provider calls it. Default none."""

    scopes: Annotated[tuple[Scope, ...], OneOrMany, ONE_OR_MANY] = ()
    """What is asked for. Default none: the provider decides."""

    resource: Annotated[tuple[AbsoluteUri, ...], OneOrMany, ONE_OR_MANY] = ()
    """URIs of what the token is for (RFC 8707). Default none."""

    requested_token_type: Annotated[str, Field(min_length=1)] | None = None
    """urn:ietf:params:oauth:token-type:access_token, or another. Default: none is named."""

    provider: str | None = None
    """Who exchanges. Default: the provider that the caller's token is from. Danger: another provider gets the caller's
    token."""


class ClientCredentialsSettings(Model):
    """A token of the gateway's own client (RFC 6749 §4.4), one for everybody who calls."""

    scopes: Annotated[tuple[Scope, ...], OneOrMany, ONE_OR_MANY] = ()
    """What is asked for. Default none: the provider decides."""

    provider: str | None = None
    """Who issues it. Default: the only provider."""


class BackendCredential(Model):
    """A credential in the place of the caller's token. Exactly one of the keys."""

    is_whole = True

    exchange: Annotated[ExchangeSettings | None, KeyMark.DEMANDS_TOKEN] = None
    """A token for the backend in exchange for the caller's (RFC 8693), one per caller. Default none. Danger: without
    audience and resource, the token may be good for as much as the caller's."""

    client_credentials: ClientCredentialsSettings | None = None
    """A token of the gateway's own client, for everybody. The backend tells callers apart by the identity headers.
    Default none."""

    phantom: Annotated[Flag, KeyMark.DEMANDS_TOKEN] = False
    """The JWT that introspection gave with the facts. A backend can use it wherever its aud is good. Default false."""

    @model_validator(mode="after")
    def _exactly_one(self) -> BackendCredential:
        named = [form for form in FORMS if getattr(self, form) not in (None, False)]
        if len(named) != 1:
            what = f"{' and '.join(named)} are given" if named else "no form is given"
            raise ValueError(f"{what}; write one of exchange:, client_credentials: or phantom: true")
        return self


def _which(value: object) -> str:
    return _FORM if isinstance(value, dict | BackendCredential) else _WORD


Authorization = Annotated[
    Annotated[Literal["strip", "keep"], Tag(_WORD)] | Annotated[BackendCredential, Tag(_FORM)],
    Discriminator(_which),
]
