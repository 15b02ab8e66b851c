"""The layers of `gateway/`, in the one place where they are listed.

`tests/test_architecture.py` holds the imports to them. It also compares the table of `docs/architecture.md`, its
drawing and the list in `CONTRIBUTING.md` with this list. A module imports from its own room and from the layers before
it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layer:
    """`rooms` are folders or modules of `gateway/`. A pure layer awaits nothing and reaches no socket and no clock."""

    rooms: tuple[str, ...]
    does: str
    is_pure: bool = False


LAYERS = (
    Layer(("http",), "the wire's pure rules: target, head, framing, fields; it knows no configuration", is_pure=True),
    Layer(("config",), "the file: model, positions, environment, every problem at once"),
    Layer(("routing",), "the compiled table of routes", is_pure=True),
    Layer(("migration",), "another gateway's rules as a configuration of ours", is_pure=True),
    Layer(("authn",), "bearer tokens, facts, claims, the question that is asked", is_pure=True),
    Layer(("policy_reasons",), "what a route wanted and what was there, for the log", is_pure=True),
    Layer(
        ("entitlements", "step_up", "possession"),
        "roles, groups, details, claims; how and when the caller signed in; what it has shown to have",
        is_pure=True,
    ),
    Layer(("limits",), "limits by identity: whom they count, what is left", is_pure=True),
    Layer(("signed_identity",), "the JWT that tells a backend who is calling", is_pure=True),
    Layer(("grants",), "permissions and tokens that are obtained for a caller; how long they count", is_pure=True),
    Layer(("policy", "identity"), "decide by the facts; say who the caller is", is_pure=True),
    Layer(("compiled",), "the configuration as deciding needs it", is_pure=True),
    Layer(("route_path",), "what a matched route makes of a path", is_pure=True),
    Layer(("cors",), "what a route says to browsers of other origins", is_pure=True),
    Layer(("condition",), "what facts alone do not settle about a request", is_pure=True),
    Layer(("request",), "the head of a request, as it came", is_pure=True),
    Layer(("decision",), "the values that deciding makes", is_pure=True),
    Layer(("conditions",), "the conditions of one request, in their order", is_pure=True),
    Layer(("presentation",), "the token of a request in other schemes and places, and its proof", is_pure=True),
    Layer(("pipeline",), "decide about a request, from its head to allow or refuse", is_pure=True),
    Layer(("nearest_routes",), "the routes that a request missed by little, for `explain`", is_pure=True),
    Layer(("spans",), "what a recorded request waited for"),
    Layer(("introspection",), "await facts: memory, fleet, single flight, refresh, stale, invalidation"),
    Layer(("provider",), "the provider as its client sees it: discovery, authentication, endpoints, keys"),
    Layer(("cache",), "local memory, Redis"),
    Layer(("obtaining",), "runs grants: remembered, once for all who wait, renewed, purged with the caller's facts"),
    Layer(("events",), "revocations that arrive"),
    Layer(("proxy",), "the data path: client connections, two lanes, relay, backend connections"),
    Layer(("workers",), "many processes: supervisor, control channel, sockets"),
    Layer(("runtime",), "one process: a generation of the configuration, its assembly, reload, explain"),
    Layer(("observe",), "metrics, access log, traces"),
    Layer(("admin",), "the second listener and its page"),
    Layer(("demo",), "demo provider, echo backend, walk-through"),
    Layer(("app", "service", "commands", "cli"), "the commands; the one place where things are built and joined"),
)
RANKS = {room: rank for rank, layer in enumerate(LAYERS) for room in layer.rooms}
PURE_ROOMS = tuple(room for layer in LAYERS if layer.is_pure for room in layer.rooms)
# What a pure layer must not reach: sockets, files, clocks, chance.
IMPURE = frozenset({"aiohttp", "redis", "asyncio", "time", "datetime", "socket", "os", "random", "secrets"})
