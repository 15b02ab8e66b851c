"""The demo realm: two users and three clients. Their passwords are public and guard nothing."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

REALM = "demo"
# Every client may ask for these, as in a new Keycloak realm.
_DEFAULT_SCOPES = ("email", "profile")


def stable_id(name: str) -> str:
    """The same UUID at each start, so that documents that show it stay true."""
    return str(uuid5(NAMESPACE_URL, f"gateway:demo:{name}"))


@dataclass(frozen=True, slots=True)
class User:
    """Describes a person, or the service account of a client. Their tokens can carry at most `scopes`."""

    username: str
    name: str
    password: str | None = None
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    client_roles: tuple[tuple[str, tuple[str, ...]], ...] = ()
    tenant: str | None = None

    @property
    def id(self) -> str:
        return stable_id(self.username)

    @property
    def allowed_scopes(self) -> tuple[str, ...]:
        return (*_DEFAULT_SCOPES, *self.scopes)


@dataclass(frozen=True, slots=True)
class Client:
    """Describes an application. Without a secret it is public: it may log users in, but not introspect or exchange."""

    client_id: str
    secret: str | None = None
    account: User | None = None  # its service account, for client_credentials


USERS = {
    user.username: user
    for user in (
        User(
            "alice",
            "Alice Liddell",
            password="alice",  # noqa: S106 - a demo's password, in the README
            scopes=("orders:read", "orders:write"),
            roles=("user", "manager"),
            client_roles=(("billing", ("clerk",)),),
            tenant="acme",
        ),
        User("bob", "Bob Cratchit", password="bob", roles=("user",), tenant="acme"),  # noqa: S106 - as above
    )
}

CLIENTS = {
    client.client_id: client
    for client in (
        Client("demo-app"),
        Client(
            "demo-service",
            secret="demo-service-secret",  # noqa: S106 - as above
            account=User("service-account-demo-service", "", scopes=("orders:read",), roles=("service",)),
        ),
        Client(
            "gateway",
            secret="gateway-secret",  # noqa: S106 - as above
            account=User("service-account-gateway", "", roles=("service",)),
        ),
    )
}
