"""The command line: the commands that `gateway --help` lists, and their exit statuses.

0 means done, or yes. 1 means no: an inactive token, a refused grant, a failed walk-through. 2 means that the
configuration or the command line cannot be used. 3 means cannot tell. Results go to standard output, problems to
standard error.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Coroutine, Sequence, Sized
from typing import Any, NoReturn, TypeVar

import click

import gateway
from gateway import app
from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, Indeterminate, read_introspection_result
from gateway.compiled import compile_config
from gateway.config.load import describe_problems, load, warnings_in
from gateway.config.model import Cache, Config
from gateway.config.problems import ConfigError, Problem
from gateway.config.report import Format, in_order, report
from gateway.config.schema import json_schema
from gateway.http import strict_json
from gateway.introspection.lifetime import as_of
from gateway.observe.metrics import Metrics
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
from gateway.runtime.assembly import assemble, release
from gateway.runtime.build import BUILD
from gateway.runtime.case_file import load_cases
from gateway.runtime.case_run import differences
from gateway.runtime.explain import explain as explained
from gateway.runtime.explain import explain_offline
from gateway.workers.supervisor import StartError

NO, UNUSABLE, CANNOT_TELL = 1, 2, 3
_UNTOLD_CODES = frozenset({"introspection_unavailable"})
_CLAIMS_MAX_BYTES = 2**20
T = TypeVar("T")

_config_option = click.option(
    "-c", "--config", "path", required=True, metavar="FILE", help="The configuration, a YAML file."
)
_provider_option = click.option("--provider", metavar="P", help="Which provider, where the file has several.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(gateway.__version__, prog_name="gateway", message=f"%(prog)s, version %(version)s, {BUILD}")
def main() -> None:
    """A reverse proxy that introspects every bearer token and tells the backend who is calling."""


@main.command()
@_config_option
def serve(path: str) -> None:
    """Serve. SIGHUP reloads the file, SIGTERM drains."""
    try:
        _run(app.serve(path))
    except ConfigError as error:
        _fail(UNUSABLE, describe_problems(error))
    except (StartError, OSError) as error:
        _fail(NO, f"gateway: {error}")


@main.command()
@_config_option
@click.option("--strict", is_flag=True, help="Exit with 2 for warnings, too.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "github"]), default="text", show_default=True,
    help="json: a list of objects; github: annotations of a workflow.",
)  # fmt: skip
def check(path: str, form: Format, *, strict: bool) -> None:
    """Say everything that is wrong with the file, and warn of what is dangerous or doubtful.

    Exits with 0, or with 2 when the file cannot be used.
    """
    errors: Sequence[Problem] = ()
    warnings: list[Problem] = []
    config = None
    try:
        config = load(path)
        warnings = warnings_in(path, time.time())
    except ConfigError as error:
        errors = error.problems
    findings = in_order(errors, warnings)
    told = report(path, findings, form)
    if told:
        click.echo(told, err=form == "text")
    if config is not None and form == "text":
        click.echo(f"{path}: ok, {_counted(config.routes, 'route')}, {_counted(config.providers, 'provider')}")
    if errors or (strict and warnings):
        sys.exit(UNUSABLE)


def _counted(things: Sized, noun: str) -> str:
    return f"{len(things)} {noun}" + ("" if len(things) == 1 else "s")


@main.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    _print_json(json_schema())


@main.command()
@_config_option
@click.argument("method")
@click.argument("url")
@click.option("--token", metavar="(- | T)", help="The caller's token; - reads it from standard input, unseen by `ps`.")
@click.option(
    "--claims",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="JSON: what introspection would say. No provider is asked.",
)
def explain(path: str, method: str, url: str, token: str | None, claims: str | None) -> None:
    """Tell how a request would be decided, and why.

    Exits with 0 for allow, 1 for refuse, 3 when the provider cannot tell.
    """
    config = _load(path)
    if token is not None and claims is not None:
        _fail(UNUSABLE, "gateway: --token asks the provider, and --claims asks nobody; write one of them")
    try:
        if claims is not None:
            told = explain_offline(compile_config(config), method, url, _claims(claims), time.time())
        else:
            told = _run(_explain(config, method, url, _given(token)))
    except ValueError as error:
        _fail(UNUSABLE, f"gateway: {error}")
    _print_json(told)
    if told["decision"] != "allow":
        sys.exit(CANNOT_TELL if told["code"] in _UNTOLD_CODES else NO)


@main.command("test")
@_config_option
@click.argument("cases", metavar="CASES.yaml")
def test_command(path: str, cases: str) -> None:
    """Decide the requests of CASES.yaml with the claims given there, and compare with what is expected.

    No provider and no backend is asked. Exits with 0 when all is as expected, 1 when not, 2 for a bad file.
    """
    config = _load(path)
    try:
        read = load_cases(cases)
    except ConfigError as error:
        _fail(UNUSABLE, describe_problems(error))
    compiled, now = compile_config(config), time.time()
    failed = 0
    for line, case in read:
        found = differences(compiled, case, now)
        failed += bool(found)
        for words in found:
            click.echo(f"{cases}:{line}: {case.name}: {words}")
    click.echo(f"{cases}: {len(read)} cases, {failed or 'none'} not as expected")
    if failed:
        sys.exit(NO)


@main.command()
@_config_option
@_provider_option
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
    client = _client(_load(path), provider)
    asked = _grant(grant, options)
    try:
        _print_json(_run(_request_token(client, asked, " ".join(scope) or None)))
    except TokenRefused as error:
        _fail(NO, f"gateway: {client.name} refuses: {error}")
    except ProviderError as error:
        _fail(CANNOT_TELL, f"gateway: {client.name} cannot tell: {error.reason}")


@main.command()
@_config_option
@_provider_option
@click.argument("token", metavar="(- | TOKEN)")
def introspect(path: str, provider: str | None, token: str) -> None:
    """Print the introspection endpoint's response about a token.

    Write - to read the token from standard input: a TOKEN on the command line shows in `ps` and the shell's history.

    Exits with 0 for active, 1 for inactive, 3 when the provider cannot tell.
    """
    client = _client(_load(path), provider)
    try:
        document = _run(_introspect(client, Token(_given(token) or "")))
    except ProviderError as error:
        _fail(CANNOT_TELL, f"gateway: {client.name} cannot tell: {error.reason}")
    _print_json(document)
    now = time.time()
    match as_of(read_introspection_result(document, now), now):
        case Facts():
            return
        case Inactive():
            sys.exit(NO)
        case Indeterminate(reason=reason):
            _fail(CANNOT_TELL, f"gateway: {client.name} cannot tell: {reason}")


@main.command("demo")
@click.option("--check", "is_check", is_flag=True, help="Walk through it all and exit with 0 or 1.")
@click.option(
    "--port-base",
    type=click.IntRange(1, 65532),
    help="Ports N, N+1, N+2 and N+3 for gateway, admin, provider and backend instead of 8080, 9090, 8081 and 8082.",
)
def demo_command(is_check: bool, port_base: int | None) -> None:
    """Run gateway, provider and backend on loopback, and print what to paste."""
    try:
        sys.exit(_run(app.demo(port_base, is_check=is_check)))
    except BrokenPipeError:
        raise  # the reader has gone; click ends quietly
    except (StartError, OSError) as error:
        _fail(NO, f"gateway: {error}")


@main.command(hidden=True)
@click.option("--control-fd", type=int, required=True)
@click.option("--listen-fd", type=int, required=True)
def worker(control_fd: int, listen_fd: int) -> None:
    """Run one worker process; `serve` starts it."""
    _run(app.work(control_fd, listen_fd))


async def _explain(config: Config, method: str, url: str, token: str | None) -> dict[str, Any]:
    # Without the fleet's cache, so that the provider itself is asked.
    alone = config.model_copy(update={"cache": Cache()})
    generation = await assemble(alone, Metrics(), lambda _: None)
    try:
        return await explained(generation.gate, generation.authenticator, method, url, token)
    finally:
        await release(generation, None)


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
        value = _given(options[option])
        if not value:
            _fail(UNUSABLE, f"gateway: --grant {name} needs --{option.replace('_', '-')}; write it, or - to read it")
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
    known = ", ".join(config.providers)
    if name is None and len(config.providers) != 1:
        _fail(
            UNUSABLE,
            f"gateway: the file does not have exactly one provider; write --provider with one of: {known or 'none'}",
        )
    chosen = name if name is not None else next(iter(config.providers))
    if chosen not in config.providers:
        _fail(UNUSABLE, f"gateway: no provider {chosen!r}; write --provider with one of: {known or 'none'}")
    return ProviderClient(chosen, config.providers[chosen])


def _claims(path: str) -> dict[str, Any]:
    """Raises `ValueError`."""
    with click.open_file(path, "rb") as file:
        try:
            claims = strict_json.loads(file.read(_CLAIMS_MAX_BYTES))
        except strict_json.JSONError as error:
            raise ValueError(f"{path} is not JSON: {error}; write an object of claims") from None
    if not isinstance(claims, dict):
        raise ValueError(f'{path} is not an object; write claims such as {{"sub": "bob", "scope": ""}}')
    return claims


def _load(path: str) -> Config:
    try:
        return load(path)
    except ConfigError as error:
        _fail(UNUSABLE, describe_problems(error))


def _given(value: str | None) -> str | None:
    """An option's value. `-` reads standard input, so that `ps` does not show a secret."""
    return sys.stdin.read().strip() if value == "-" else value


def _run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        return runner.run(work)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop where that is installed: it takes a third off the cost of a request."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _fail(status: int, words: str) -> NoReturn:
    click.echo(words, err=True)
    sys.exit(status)
