"""The settings that only a restart changes: a reload with another value is refused by the key's name."""

from __future__ import annotations

from gateway.config.model import Config
from gateway.config.values import Address


def asked_at(config: Config) -> Address | None:
    """Where other proxies ask for decisions; None: nowhere."""
    return None if config.decisions is None else config.decisions.listen


def check_fixed(old: Config, new: Config) -> None:
    """Raises `ValueError` for what only a restart can change."""
    fixed = {
        "server.listen": (old.server.listen, new.server.listen),
        "server.workers": (old.server.workers, new.server.workers),
        "admin.listen": (old.admin.listen, new.admin.listen),
        "decisions.listen": (asked_at(old), asked_at(new)),
    }
    for name, (before, after) in fixed.items():
        if before != after:
            change = f"changed from {before or 'none'} to {after or 'none'}"
            raise ValueError(f"{name} {change}, which a reload cannot do; restart for it")
