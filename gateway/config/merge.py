"""`defaults` under each route: mappings are merged at every depth, lists and scalars of the route replace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.config.node import KeyValue, Node

# A route's own way of making the backend's path takes the place of the other way in the defaults.
_RIVALS = {"rewrite": "strip_prefix", "strip_prefix": "rewrite"}


def with_auth_spelled_out(node: Node) -> Node:
    """`auth: none` as `auth: {mode: none}`, so that it can be merged."""
    auth = node.entries.get("auth")
    if auth is None or not isinstance(auth.node.value, str):
        return node
    mode = Node({"mode": KeyValue(None, auth.line, auth.node)}, auth.line)
    return node.with_entries({**node.entries, "auth": KeyValue("auth", auth.line, mode)})


def without_rivals(defaults: Node, route: Node) -> Node:
    """The defaults without what the route's own keys exclude."""
    own = {key for key, entry in route.entries.items() if key in _RIVALS and entry.node.value is not None}
    gone = {_RIVALS[key] for key in own} & defaults.entries.keys() - route.entries.keys()
    # The forms of a credential exclude each other. So a route's own takes the place of the whole.
    gone |= {"authorization"} & defaults.entries.keys() & route.entries.keys()
    if not gone:
        return defaults
    return replace(defaults, value={key: entry for key, entry in defaults.entries.items() if key not in gone})


def merged(under: Any, over: Any) -> Any:
    """The route's plain values merged over those of the defaults. Neither is changed."""
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    both = {key: merged(under[key], value) if key in under else value for key, value in over.items()}
    return {**under, **both}
