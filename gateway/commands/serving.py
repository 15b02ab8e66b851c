"""The commands that run a gateway: `serve`, `demo`, and the worker that `serve` starts."""

from __future__ import annotations

import sys

import click

from gateway import app
from gateway.commands.options import NO, UNUSABLE, config_or_file, fail, run
from gateway.config.load import describe_problems
from gateway.config.problems import ConfigError
from gateway.workers.supervisor import StartError


@click.command()
@config_or_file
def serve(path: str) -> None:
    """Serve. SIGHUP reloads the file, SIGTERM drains."""
    try:
        run(app.serve(path))
    except ConfigError as error:
        fail(UNUSABLE, describe_problems(error))
    except (StartError, OSError) as error:
        fail(NO, f"gateway: {error}")


@click.command("demo")
@click.option("--check", "is_check", is_flag=True, help="Walk through it all and exit with 0 or 1.")
@click.option(
    "--port-base",
    type=click.IntRange(1, 65532),
    help="Ports N, N+1, N+2 and N+3 for gateway, admin, provider and backend instead of 8080, 9090, 8081 and 8082.",
)
@click.option(
    "--beside",
    type=click.Choice(["nginx"]),
    help="nginx has the gateway's port, forwards, and asks the gateway about each request.",
)
def demo_command(is_check: bool, port_base: int | None, beside: str | None) -> None:
    """Run gateway, provider and backend on loopback, and print what to paste."""
    try:
        sys.exit(run(app.demo(port_base, is_check=is_check, beside=beside)))
    except BrokenPipeError:
        raise  # the reader has gone; click ends quietly
    except (StartError, OSError) as error:
        fail(NO, f"gateway: {error}")


@click.command(hidden=True)
@click.option("--control-fd", type=int, required=True)
@click.option("--listen-fd", type=int, required=True)
@click.option("--decisions-fd", type=int)
def worker(control_fd: int, listen_fd: int, decisions_fd: int | None) -> None:
    """Run one worker process; `serve` starts it."""
    run(app.work(control_fd, listen_fd, decisions_fd))
