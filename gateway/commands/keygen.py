"""The command that makes a key: `keygen`."""

from __future__ import annotations

import os

import click

from gateway.commands.options import NO, fail
from gateway.config.identity_key import Algorithm, new_private_pem, read_identity_key

_ONLY_OURS = 0o600


@click.command()
@click.option(
    "--algorithm", type=click.Choice(["ES256", "EdDSA"]), default="ES256", show_default=True,
    help="ES256 is what every library verifies; EdDSA is shorter.",
)  # fmt: skip
@click.option(
    "-o", "--out", "path", metavar="FILE", type=click.Path(dir_okay=False),
    help="Write to a new file that only its owner can read. Default: standard output.",
)  # fmt: skip
def keygen(algorithm: Algorithm, path: str | None) -> None:
    """Make a private key for signing.key_file, as PEM, and tell its kid on standard error.

    Exits with 1 where FILE is there already: a key is never overwritten.
    """
    pem = new_private_pem(algorithm)
    if path is None:
        click.echo(pem, nl=False)
    else:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _ONLY_OURS)
        except OSError as error:
            fail(NO, f"{path} cannot be written ({error.strerror}); name a new file")
        with os.fdopen(descriptor, "w") as file:
            file.write(pem)
    click.echo(f"kid {read_identity_key(pem, needs_private=True).kid}", err=True)
