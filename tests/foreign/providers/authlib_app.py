"""Authlib's authorization server on Flask, put together as Authlib's own documents do, with everything in memory.

python authlib_app.py PORT
"""

import os
import sys
import time
from dataclasses import dataclass
from types import SimpleNamespace

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Flask

PORT = int(sys.argv[1])
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # loopback has no TLS
ISSUER = f"http://127.0.0.1:{PORT}"


@dataclass
class Client(ClientMixin):
    client_id: str

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return scope or "orders:read"

    def check_client_secret(self, client_secret):
        return client_secret == f"secret-of-{self.client_id}"

    def check_endpoint_auth_method(self, method, endpoint):
        return method in {"client_secret_basic", "client_secret_post"}

    def check_grant_type(self, grant_type):
        return self.client_id != "gateway"


@dataclass
class Token(TokenMixin):
    client: Client
    user: SimpleNamespace | None
    issued_at: int
    members: dict
    revoked: bool = False

    def check_client(self, client):
        return self.client is client

    def get_scope(self):
        return self.members["scope"]

    def is_expired(self):
        return self.issued_at + self.members["expires_in"] < time.time()

    def is_revoked(self):
        return self.revoked

    def get_user(self):
        return self.user

    def get_client(self):
        return self.client


CLIENTS = {name: Client(name) for name in ("app", "gateway")}
USERS = {name: SimpleNamespace(id=name) for name in ("alice", "bob")}
TOKENS: list[Token] = []


def found(value, hint):
    kinds = [hint] if hint else ["access_token", "refresh_token"]
    return next((token for token in TOKENS for kind in kinds if token.members.get(kind) == value), None)


def save(members, asked):
    TOKENS.append(Token(asked.client, asked.user, int(time.time()), members))


class PasswordGrant(grants.ResourceOwnerPasswordCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")

    def authenticate_user(self, username, password):
        return USERS.get(username) if password == f"password-of-{username}" else None


class Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")

    def query_token(self, token_string, token_type_hint):
        return found(token_string, token_type_hint)

    def check_permission(self, token, client, request):
        return client.client_id == "gateway"

    def introspect_token(self, token):
        return {
            "active": True,
            "client_id": token.client.client_id,
            "token_type": token.members["token_type"],
            "scope": token.get_scope(),
            "aud": token.client.client_id,
            "iss": ISSUER,
            "exp": token.issued_at + token.members["expires_in"],
            "iat": token.issued_at,
            **({"sub": token.user.id, "username": token.user.id} if token.user else {}),
        }


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")

    def query_token(self, token_string, token_type_hint):
        return found(token_string, token_type_hint)

    def revoke_token(self, token, request):
        token.revoked = True


app = Flask(__name__)
app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
server = AuthorizationServer(app, query_client=CLIENTS.get, save_token=save)
server.register_grant(PasswordGrant)
server.register_grant(grants.ClientCredentialsGrant)
server.register_endpoint(Introspection)
server.register_endpoint(Revocation)


@app.post("/<path>")
def answer(path):
    return server.create_token_response() if path == "token" else server.create_endpoint_response(path)


app.run("127.0.0.1", PORT)
