"""The guide `docs/guides/keycloak.md`, gone through with a real Keycloak and the realm of `deploy/keycloak`."""

from pathlib import Path
from urllib.parse import urlsplit

from support.guide_walk import DOCS, walked
from support.keycloak import Keycloak


def test_each_command_does_what_the_guide_says(keycloak: Keycloak, tmp_path: Path) -> None:
    port = urlsplit(keycloak.issuer).port
    assert port is not None
    with walked(DOCS / "guides" / "keycloak.md", tmp_path, {8081: port}):
        pass
