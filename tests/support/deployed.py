"""What stands under `deploy/`, as tests read it."""

from pathlib import Path
from typing import Any

import yaml

from gateway.config.server_model import Server

DEPLOY = Path(__file__).parents[2] / "deploy"
# Beyond its own two times: workers that are killed at the deadline have five seconds, connections to Redis one.
SPARE_S = 8


def stopping_s(server: Server) -> float:
    """How long the gateway may take to stop, as configured."""
    return server.drain_delay + server.shutdown_timeout


def document(path: str) -> Any:
    return yaml.safe_load((DEPLOY / path).read_text())


def documents(path: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / path).read_text()))


def text_with_secrets_in(path: str, mounted_at: str, folder: Path, names: list[str]) -> str:
    """A gateway.yaml whose secret files, mounted in a container, are in `folder` instead."""
    for name in names:
        is_url = name.endswith("_url")
        secret = "redis://gateway:a-password@redis:6379/0" if is_url else f"a-secret-of-32-bytes-or-more-{name}"
        folder.joinpath(name).write_text(secret + "\n")
    text = (DEPLOY / path).read_text()
    assert f"{mounted_at}/" in text
    return text.replace(f"{mounted_at}/", f"{folder}/")
