"""How a backend learns who is calling, and which key signs that, as the configuration names them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from gateway.config.identity_key import IdentityKey, read_identity_key
from gateway.config.model_base import KeyMark, Model
from gateway.config.pattern import parse_prefix
from gateway.config.problems import WrongAt
from gateway.config.value_types import (
    ONE_OR_MANY,
    ClaimPath,
    FileContent,
    IdentityName,
    Issuer,
    OneOrMany,
    PathPrefix,
    Seconds,
    Text,
)
from gateway.http.header_names import fold_header_name

# The gateway itself says these; no claim of the caller's token takes their place.
_RESERVED_CLAIMS = frozenset({"iss", "aud", "exp", "iat"})
_ClaimPaths = Annotated[tuple[ClaimPath, ...], OneOrMany, Field(min_length=1), ONE_OR_MANY]


def refuse_twins(placed: Iterable[tuple[tuple[str, ...], str]]) -> None:
    """Refuse header names, each with its place, that some backend takes for the same: they cannot both be sent."""
    first: dict[str, tuple[tuple[str, ...], str]] = {}
    wrongs = []
    for place, name in placed:
        other_place, other = first.setdefault(fold_header_name(name), (place, name))
        if other_place != place:
            wrongs.append((place, f"{name} and {other} are one header to a backend; keep one"))
    if wrongs:
        raise WrongAt(wrongs)


def _checked(pem: SecretStr) -> SecretStr:
    read_identity_key(pem.get_secret_value(), needs_private=True)
    return pem


def _checked_public(pem: SecretStr) -> SecretStr:
    read_identity_key(pem.get_secret_value(), needs_private=False)
    return pem


def _only_sub() -> dict[str, tuple[tuple[str, ...], ...]]:
    return {"sub": (("sub",),)}


class IdentityTokenSettings(Model):
    """A JWT that the gateway signs for the backend, about the caller."""

    header: IdentityName = "X-Identity-Token"
    """The header that carries it, removed from what clients send on every route. Default X-Identity-Token."""

    audience: Annotated[tuple[Text, ...], OneOrMany, Field(min_length=1), ONE_OR_MANY]
    """Its aud: who it is meant for. Each backend accepts only its own."""

    ttl: Annotated[Seconds, Field(ge=1)] = 60.0
    """How long one is good, never past the caller's exp. Default 60s; at least 1s."""

    claims: dict[Text, _ClaimPaths] = Field(default_factory=_only_sub)
    """Claim: claim path of the caller's facts, or a list; the first that is present counts, with its type. Default
    {sub: sub}. iss, aud, exp and iat are the gateway's own."""

    @field_validator("claims")
    @classmethod
    def _claims_are_the_callers(cls, claims: dict[str, _ClaimPaths]) -> dict[str, _ClaimPaths]:
        wrongs = [name for name in claims if name in _RESERVED_CLAIMS]
        if wrongs:
            what = "is what the gateway itself says in the token; leave it out, or write another name"
            raise WrongAt(((name,), f"{name} {what}") for name in wrongs)
        return claims


class IdentitySettings(Model):
    """Maps a header name to claim paths; the first claim that is present is sent."""

    headers: dict[IdentityName, _ClaimPaths] = Field(
        default_factory=lambda: {
            "X-User-Id": (("sub",),),
            "X-User-Name": (("preferred_username",), ("username",)),
            "X-Client-Id": (("client_id",),),
            "X-Scopes": (("scope",),),
            "X-Roles": (("realm_access", "roles"),),
        }
    )
    """Header: claim path, or a list; the first claim that is present is sent."""

    token: Annotated[IdentityTokenSettings, KeyMark.DEMANDS_TOKEN] | None = None
    """A signed token about the caller, which the backend verifies with the keys at signing.path. Default none. Danger:
    for its ttl a backend that goes by it alone serves a caller whose token was revoked."""

    answer: Annotated[IdentityName, KeyMark.DEMANDS_TOKEN] | None = None
    """The header that carries all that the provider says of the token, as base64url of JSON; left out where that is
    larger than 8 KiB. Default none. Danger: the backend, and its logs, learn every claim."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all headers that the gateway writes about the caller."""
        return tuple(name for _, name in self._placed())

    @model_validator(mode="after")
    def _names_differ(self) -> IdentitySettings:
        refuse_twins(self._placed())
        return self

    def _placed(self) -> Iterator[tuple[tuple[str, ...], str]]:
        for name in self.headers:
            yield ("headers", name), name
        if self.token is not None:
            yield ("token", "header"), self.token.header
        if self.answer is not None:
            yield ("answer",), self.answer


class Signing(Model):
    """The key that signs identity tokens, and where backends find it."""

    key_file: Annotated[FileContent, AfterValidator(_checked)]
    """The private key: PEM of P-256 (ES256) or Ed25519 (EdDSA), as gateway keygen makes it."""

    previous_key_files: tuple[Annotated[FileContent, AfterValidator(_checked_public)], ...] = ()
    """Keys that stay published without signing, private or public: those before, and the one to come. Default none."""

    issuer: Issuer
    """The iss of identity tokens: a name of the gateway that its backends know."""

    path: PathPrefix = parse_prefix("/.gateway/jwks.json")
    """Where the keys are published as a JWK set, on every host, before the routes. Default /.gateway/jwks.json."""

    @property
    def keys(self) -> tuple[IdentityKey, ...]:
        """The key that signs, then those that are only published."""
        first = read_identity_key(self.key_file.get_secret_value(), needs_private=True)
        others = (read_identity_key(one.get_secret_value(), needs_private=False) for one in self.previous_key_files)
        return (first, *others)
