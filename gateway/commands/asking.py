"""The commands that speak to a provider as the gateway does: `token` and `introspect`."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, Indeterminate, read_introspection_result
from gateway.commands.options import (
    CANNOT_TELL,
    NO,
    UNUSABLE,
    config_option,
    fail,
    given,
    load_or_exit,
    print_json,
    provider_option,
    run,
)
from gateway.config.model import Config
from gateway.config.realms import by_realm
from gateway.introspection.lifetime import as_of
from gateway.provider.errors import ProviderError, TokenRefused
from gateway.provider.grants import (
    AuthorizationCode,
    ClientCredentials,
    Grant,
    Password,
    RefreshToken,
    TokenExchange,
)
from gateway.provider.provider import ProviderClient


@click.command()
@config_option
@provider_option
@click.option(
    "--grant",
    type=click.Choice(["client_credentials", "password", "refresh_token", "authorization_code", "token_exchange"]),
    default="client_credentials",
    show_default=True,
)
@click.option("--scope", metavar="S", multiple=True, help="Scopes to ask for, separated by blanks; may be repeated.")
@click.option("--username", metavar="U", help="For password.")
@click.option(
    "--password", metavar="(- | P)", envvar="GATEWAY_TOKEN_PASSWORD", help="For password; - reads standard input."
)
@click.option("--refresh-token", metavar="(- | T)", help="For refresh_token; - reads standard input.")
@click.option("--code", metavar="(- | C)", help="For authorization_code; - reads standard input.")
@click.option("--redirect-uri", metavar="URI", help="For authorization_code.")
@click.option("--code-verifier", metavar="V", help="For authorization_code with PKCE (RFC 7636).")
@click.option("--subject-token", metavar="(- | T)", help="For token_exchange; - reads standard input.")
@click.option("--subject-token-type", metavar="URN", help="For token_exchange.")
@click.option("--requested-token-type", metavar="URN", help="For token_exchange.")
@click.option("--audience", metavar="A", multiple=True, help="For token_exchange; may be repeated.")
@click.option("--resource", metavar="URI", multiple=True, help="For token_exchange; may be repeated.")
def token(path: str, provider: str | None, grant: str, scope: tuple[str, ...], **options: Any) -> None:
    """Print the token endpoint's response; exit 1 when it refuses."""
    client = _client(load_or_exit(path), provider)
    asked = _grant(grant, options)
    try:
        print_json(run(_request_token(client, asked, " ".join(scope) or None)))
    except TokenRefused as error:
        fail(NO, f"gateway: {client.name} refuses: {error}")
    except ProviderError as error:
        fail(CANNOT_TELL, f"gateway: {client.name} cannot tell: {error.reason}")


@click.command()
@config_option
@provider_option
@click.argument("token", metavar="(- | TOKEN)")
def introspect(path: str, provider: str | None, token: str) -> None:
    """Print the introspection endpoint's response about a token.

    Write - to read the token from standard input: a TOKEN on the command line shows in `ps` and the shell's history.
    """
    client = _client(load_or_exit(path), provider)
    try:
        document = run(_introspect(client, Token(given(token) or "")))
    except ProviderError as error:
        fail(CANNOT_TELL, f"gateway: {client.name} cannot tell: {error.reason}")
    print_json(document)
    now = time.time()
    match as_of(read_introspection_result(document, now), now):
        case Facts():
            return
        case Inactive():
            sys.exit(NO)
        case Indeterminate(reason=reason):
            fail(CANNOT_TELL, f"gateway: {client.name} cannot tell: {reason}")


async def _request_token(client: ProviderClient, grant: Grant, scope: str | None) -> dict[str, Any]:
    try:
        return await client.token(grant, scope)
    finally:
        await client.close()


async def _introspect(client: ProviderClient, token: Token) -> Any:
    try:
        return await client.introspection_document(token)
    finally:
        await client.close()


def _grant(name: str, options: dict[str, Any]) -> Grant:
    def needed(option: str) -> str:
        value = given(options[option])
        if not value:
            fail(UNUSABLE, f"gateway: --grant {name} needs --{option.replace('_', '-')}; write it, or - to read it")
        return value

    match name:
        case "client_credentials":
            return ClientCredentials()
        case "password":
            return Password(needed("username"), needed("password"))
        case "refresh_token":
            return RefreshToken(needed("refresh_token"))
        case "authorization_code":
            return AuthorizationCode(needed("code"), options["redirect_uri"], options["code_verifier"])
        case _:
            types = {"subject_token_type": options["subject_token_type"]} if options["subject_token_type"] else {}
            return TokenExchange(
                needed("subject_token"),
                requested_token_type=options["requested_token_type"],
                audience=options["audience"],
                resource=options["resource"],
                **types,
            )


def _client(config: Config, name: str | None) -> ProviderClient:
    providers = by_realm(config.providers)
    known = ", ".join(providers)
    if name is None and len(providers) != 1:
        fail(
            UNUSABLE,
            f"gateway: the file does not have exactly one provider; write --provider with one of: {known or 'none'}",
        )
    chosen = name if name is not None else next(iter(providers))
    if chosen not in providers:
        fail(UNUSABLE, f"gateway: no provider {chosen!r}; write --provider with one of: {known or 'none'}")
    return ProviderClient(chosen, providers[chosen])
