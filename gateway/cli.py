"""The command line: the commands that `gateway --help` lists, and their exit statuses.

0 means done, or yes. 1 means no: an inactive token, a refused grant, a failed walk-through. 2 means that the
configuration or the command line cannot be used. 3 means cannot tell. Results go to standard output, problems to
standard error.

A command's module is imported when the command is run, so that `--version`, `--help` and completion cost nothing.
"""

from __future__ import annotations

from importlib import import_module

import click

import gateway
from gateway.commands.epilogs import epilog
from gateway.runtime.build import BUILD

# By name: the module and the function there, and the line in the list of commands. A hidden command has no line.
COMMANDS = {
    "check": ("checking", "check", "Say everything that is wrong with the file, and warn of what is dangerous."),
    "demo": ("serving", "demo_command", "Run gateway, provider and backend on loopback, and print what to paste."),
    "doctor": ("diagnosing", "doctor", "Try providers, Redis, backends, certificates and clocks for real."),
    "explain": ("explaining", "explain", "Tell how a request would be decided, and why."),
    "import": ("importing", "import_command", "Write a configuration from another gateway's rules."),
    "introspect": ("asking", "introspect", "Print the introspection endpoint's result about a token."),
    "keygen": ("keygen", "keygen", "Make a key that signs identity tokens."),
    "schema": ("checking", "schema", "Print the JSON Schema of the configuration, for editors."),
    "serve": ("serving", "serve", "Serve. SIGHUP reloads the file, SIGTERM drains."),
    "test": ("explaining", "test_command", "Decide a file of requests and compare with what is expected."),
    "token": ("asking", "token", "Print the token endpoint's response; exit 1 when it refuses."),
    "worker": ("serving", "worker", ""),
}


class _LazyGroup(click.Group):
    """Imports a command when it is run or asked for its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [name for name, (_, _, line) in COMMANDS.items() if line]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, function, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"gateway.commands.{module}"), function)
        command.epilog = epilog(cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][2]) for name in self.list_commands(ctx)])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(gateway.__version__, prog_name="gateway", message=f"%(prog)s, version %(version)s, {BUILD}")
def main() -> None:
    """A reverse proxy that introspects every bearer token and tells the backend who is calling.

    Exit status: 0 done, or yes. 1 no. 2 the configuration or the command line cannot be used. 3 cannot tell.
    """
