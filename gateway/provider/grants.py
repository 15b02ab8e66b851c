"""The grants that a client can send to a token endpoint: one frozen value each. Secrets appear in no `repr`."""

from __future__ import annotations

from dataclasses import dataclass, field

ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a type
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
REFRESH_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:refresh_token"  # noqa: S105 - the name of a type
REQUESTED_TYPE = "requested_token_type"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - the name of a grant

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The client asks for itself (RFC 6749 §4.4)."""

    def pairs(self) -> Pairs:
        return (("grant_type", "client_credentials"),)


@dataclass(frozen=True, slots=True)
class Password:
    """A user's own password (RFC 6749 §4.3). For trying things out: RFC 9700 §2.4 advises against it."""

    username: str
    password: str = field(repr=False)

    def pairs(self) -> Pairs:
        return (("grant_type", "password"), ("username", self.username), ("password", self.password))


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """Renews an access token (RFC 6749 §6)."""

    refresh_token: str = field(repr=False)

    def pairs(self) -> Pairs:
        return (("grant_type", "refresh_token"), ("refresh_token", self.refresh_token))


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """Redeems a code (RFC 6749 §4.1.3), with PKCE's verifier (RFC 7636 §4.5) if there was a challenge."""

    code: str = field(repr=False)
    redirect_uri: str | None = None
    code_verifier: str | None = field(default=None, repr=False)

    def pairs(self) -> Pairs:
        return (
            ("grant_type", "authorization_code"),
            ("code", self.code),
            *_present(("redirect_uri", self.redirect_uri), ("code_verifier", self.code_verifier)),
        )


@dataclass(frozen=True, slots=True)
class TokenExchange:
    """Exchanges one token for another (RFC 8693 §2.1). `audience` and `resource` may name several targets."""

    subject_token: str = field(repr=False)
    subject_token_type: str = ACCESS_TOKEN_TYPE
    requested_token_type: str | None = None
    audience: tuple[str, ...] = ()
    resource: tuple[str, ...] = ()
    actor_token: str | None = field(default=None, repr=False)
    actor_token_type: str = ACCESS_TOKEN_TYPE

    def pairs(self) -> Pairs:
        # RFC 8693 §2.1: the actor's type goes with the actor's token and must not be sent without it.
        actor = (("actor_token", self.actor_token), ("actor_token_type", self.actor_token and self.actor_token_type))
        return (
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", self.subject_token),
            ("subject_token_type", self.subject_token_type),
            *_present(("requested_token_type", self.requested_token_type), *actor),
            *(("audience", name) for name in self.audience),
            *(("resource", uri) for uri in self.resource),
        )


Grant = ClientCredentials | Password | RefreshToken | AuthorizationCode | TokenExchange


def _present(*pairs: tuple[str, str | None]) -> Pairs:
    return tuple((name, value) for name, value in pairs if value is not None)
