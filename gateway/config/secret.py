"""Secrets that people make up for the gateway must be too long to be guessed."""

from __future__ import annotations

from pydantic import SecretStr

_CHARACTERS_MIN = 16


def check_secret(value: SecretStr) -> SecretStr:
    """The secret, which may then be used. Raises `ValueError`, in words that do not show it."""
    if len(value.get_secret_value()) < _CHARACTERS_MIN:
        what = f"this is shorter than {_CHARACTERS_MIN} characters and can be guessed"
        raise ValueError(f"{what}; write the output of openssl rand -base64 32")
    return value


def check_secret_or_none(value: SecretStr) -> SecretStr:
    """The same where empty text stands for no secret."""
    return check_secret(value) if value.get_secret_value() else value
