"""Words pydantic's errors for the reader of the file. No message names a type of Python or shows a secret."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError

from gateway.config.files import TWIN
from gateway.config.foreign_words import foreign_word
from gateway.config.keys import model_of, secrets_of
from gateway.config.model_base import Model
from gateway.config.node import Located, Origin, leaves
from gateway.config.problems import MISSING, Loc, Problem, WrongAt, place_text
from gateway.config.route_model import Route
from gateway.config.values import quoted

_EXAMPLES = {
    "name": "name: orders, unique in the file",
    "backend": "backend: http://orders:8000",
    "client_id": "client_id: and the name of the gateway at the provider",
    "allow_origins": "allow_origins: [https://app.example.com]",
    "certificate": "certificate: cert.pem",
    "key": "key: key.pem",
    "key_file": "key_file: signing.pem, as `gateway keygen` makes it",
    "issuer": "issuer: https://gateway.example.com",
    "audience": "audience: orders",
    "listen": "listen: 127.0.0.1:9191, or unix:/path",
    "rate": "rate: 100/1m",
}
_TAGS = frozenset({"[key]", "[word]", "[form]"})
_LEAVE_OUT = "write a value, or leave the key out"
_DURATION = re.compile(r"[0-9](?:ms|s|m|h)\s*\Z")
_OPTION = re.compile(r"'([^']*)'")
_NOT_A_MAPPING = "a mapping belongs; write key: value"
# What others write for the options here.
_OTHER_WORDS = {
    **dict.fromkeys(["off", "no", "false", "disabled", "public", "anonymous", "open", "noop"], "none"),
    **dict.fromkeys(["on", "yes", "true", "enabled", "bearer", "jwt_required"], "required"),
}
_WHERE = {
    "string_type": "a text belongs; write a text, in quotes if it looks like a number",
    "tuple_type": "a list belongs; write [one, two], or a line with - for each",
    "dict_type": _NOT_A_MAPPING,
    "model_type": _NOT_A_MAPPING,
}
# Keys that other gateways have as one word, and what this one has instead.
_SHORTEST = {
    "match": "write match: {path: /orders/**}",
    "auth": "write auth: none for no tokens, or a mapping such as auth: {scopes: [orders:read]}",
    "health": "write health: {path: /healthz}, or null for none",
    "outliers": "write outliers: null to turn it off, or a mapping such as outliers: {failures: 3}",
    "breaker": "write breaker: null to turn it off, or a mapping such as breaker: {failures: 5}",
    "cors": "write cors: {allow_origins: [https://app.example.com]}",
    "identity": "write identity: {headers: {X-User-Id: sub}}",
    "admin": "write admin: {listen: 127.0.0.1:9090}",
    "decisions": "write decisions: {listen: 127.0.0.1:9191}",
    "cache": "write cache: {ttl: 60s}",
    "log": "write log: {level: info}",
    "telemetry": "write telemetry: {otlp: http://collector:4318}",
}
_WORDS: dict[str, Callable[[dict[str, Any], Any], str]] = {
    "literal_error": lambda context, value: _not_an_option(_OPTION.findall(context["expected"]), value),
    "too_short": lambda *_: "the list is empty; write at least one, or leave the key out",
    "string_too_short": lambda *_: f"the text is empty; {_LEAVE_OUT}",
    "greater_than": lambda context, value: f"{quoted(value)} is too little; write more than {context['gt']:g}",
    "greater_than_equal": lambda context, value: f"{quoted(value)} is too little; write {context['ge']} or more",
    "less_than_equal": lambda context, value: (
        f"{quoted(value)} is too much; write {_most(context['le'], value)} or less"
    ),
}


def problems_of(
    error: ValidationError,
    model: type[Model],
    origin: Origin,
    *,
    also_missing: bool = True,
    given: frozenset[str] = frozenset(),
) -> Iterator[Problem]:
    """Each problem of a section, at the line of its key or item. Problems that are reported already are left out.

    A missing key of `given` is not reported.
    """
    errors = error.errors(include_url=False, include_input=False)
    meant = _meant_keys(model, [found["loc"] for found in errors if found["type"] == "extra_forbidden"])
    meant |= {(key,) for key in given}
    for found in errors:
        # A key that is misspelt is told once: that the right one is missing follows from it.
        if found["type"] == "missing" and (not also_missing or found["loc"] in meant):
            continue
        # pydantic counts the good items only: a list of nothing but bad ones is not empty.
        if found["type"] == "too_short" and any(_is_inside(other["loc"], found["loc"]) for other in errors):
            continue
        loc, context = without_tags(found["loc"]), found.get("ctx", {})
        for key in _missing_by_others(context):
            if also_missing and (*loc, *key) not in meant:
                yield from _problems("missing", (*loc, *key), {}, model, origin)
        yield from _problems(found["type"], loc, context, model, origin)


def type_name(value: Any) -> str:
    """The type of a value, as the file's reader calls it, without showing the value."""
    if isinstance(value, bool):
        return "true or false"
    names = {str: "a text", int: "a number", float: "a number", dict: "a mapping", tuple: "a list", list: "a list"}
    return names.get(type(value), "nothing")


def no_mapping(key: str | int, value: Any) -> str:
    """What is wrong with `value` of `key`, where a mapping belongs."""
    instead = _SHORTEST.get(str(key), "write key: value")
    if key == "auth" and isinstance(value, bool):
        instead = "write required, optional or none"
    return f"{type_name(value)} stands where a mapping belongs; {instead}"


def closest(word: str, known: list[str]) -> str | None:
    """The one of `known` that was probably meant."""
    by_lower = {name.lower(): name for name in known}
    matches = difflib.get_close_matches(word.lower()[:100], list(by_lower), n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None


def _known_keys(model: type[Model]) -> list[str]:
    """The keys that the file may have where `model` is read."""
    return [*model.model_fields, *(key.name + TWIN for key in secrets_of(model))]


def meant_key(model: type[Model], key: str, known: list[str] | None = None) -> str | None:
    """The key of `model` that was probably meant by `key`, which it does not have."""
    known = _known_keys(model) if known is None else known
    word = foreign_word(model, key)
    if word is not None:
        return word.key if word.key in known else None
    return closest("".join(sign for sign in key if sign.isprintable() and not sign.isspace()), known)


def unknown_key(model: type[Model], key: str, known: list[str] | None = None) -> str:
    """The message for a key that `model` does not have."""
    known = _known_keys(model) if known is None else known
    if unseen := _unseen(key):
        return f"there is a {unseen} in this key; write plain blanks, and none in the key"
    meant = meant_key(model, key, known)
    if word := foreign_word(model, key):
        if meant is None:
            return f"unknown key; {word.instead}"
        write = f"write {meant}:"
        return f"{key} is called {meant} here; {word.instead if word.instead.startswith(write) else write}"
    for name, field in model.model_fields.items():
        inner = model_of(field.annotation)
        if inner is not None and key in inner.model_fields:
            return f"unknown key here; write it under {name}:"
    if meant:
        return f"unknown key; did you mean {meant}?"
    if model is not Route and key in Route.model_fields:
        return f"unknown key here; it belongs to a route, write it there or one of {', '.join(known)}"
    return f"unknown key; write one of {', '.join(known)}"


def _meant_keys(model: type[Model], unknown: list[Loc]) -> set[Loc]:
    """Where the keys stand that were meant by unknown ones."""
    meant = ((loc[:-1], meant_key(_model_at(model, loc[:-1]), str(loc[-1]))) for loc in unknown)
    return {(*parent, key.removesuffix(TWIN)) for parent, key in meant if key is not None}


def _unseen(key: str) -> str | None:
    """The name of a character in `key` that looks like a blank or like nothing."""
    for sign in key:
        if sign != " " and (sign.isspace() or not sign.isprintable()):
            return f"{unicodedata.name(sign, 'control character').lower()} (U+{ord(sign):04X})"
    return None


def _missing_by_others(context: dict[str, Any]) -> list[Loc]:
    """The keys that other keys of the same section make necessary."""
    inner = context.get("error")
    return [loc for loc, what in inner.wrongs if what == MISSING] if isinstance(inner, WrongAt) else []


def _problems(type_: str, loc: Loc, context: dict[str, Any], model: type[Model], origin: Origin) -> Iterator[Problem]:
    if type_ == "missing":
        found = origin.find(loc[:-1])
        if not found.broken:
            key = str(loc[-1])
            yield Problem(
                place_text((*found.path, key)), f"is missing; write {_EXAMPLES.get(key, key + ':')}", found.line
            )
        return
    inner = context.get("error")
    wrongs = inner.wrongs if isinstance(inner, WrongAt) else (((), _what(type_, loc, context, model, origin)),)
    for below, what in wrongs:
        found = origin.find((*loc, *below))
        if not found.broken and what != MISSING:
            yield Problem(place_text(found.path), _without_values(what, found), found.line)


def _what(type_: str, loc: Loc, context: dict[str, Any], model: type[Model], origin: Origin) -> str:
    if type_ == "extra_forbidden":
        return unknown_key(_model_at(model, loc[:-1]), str(loc[-1]))
    value = origin.find(loc).node.value
    if type_ == "value_error":
        what = str(context["error"])
    elif type_ in _WHERE:
        what = f"{type_name(value)} stands where {_WHERE[type_]}"
        if _WHERE[type_] is _NOT_A_MAPPING:
            what = no_mapping(loc[-1], value)
    elif type_ in _WORDS:
        what = _WORDS[type_](context, value)
    else:
        what = "this is not what the key takes"
    if value is None:
        what = "this is empty; " + (what.partition("; ")[2] or _LEAVE_OUT)
    return what


def _model_at(model: type[Model], loc: Loc) -> type[Model]:
    for step in loc:
        field = model.model_fields.get(str(step))
        model = (field and model_of(field.annotation)) or model
    return model


def _not_an_option(options: list[str], value: Any) -> str:
    if not isinstance(value, str):
        return f"{type_name(value)} stands where a word belongs; write {' or '.join(options)}"
    meant = _meant_option(value, options)
    return f"{quoted(value)} is not one of {', '.join(options)}; write {meant or 'one of them'}"


def _meant_option(value: str, options: list[str]) -> str | None:
    word = _OTHER_WORDS.get(value.lower(), value)
    ends = [option for option in options if option.endswith("_" + word.lower())]
    return ends[0] if ends else word if word in options else closest(value, options)


def _most(bound: float, value: Any) -> str:
    """The bound as the file writes it: with a unit, where `value` is a duration."""
    return f"{bound:g}s" if isinstance(value, str) and _DURATION.search(value) else str(bound)


def _is_inside(loc: Loc, outer: Loc) -> bool:
    return len(loc) > len(outer) and loc[: len(outer)] == outer


def without_tags(loc: tuple[int | str, ...]) -> Loc:
    """`loc` as the file has it: pydantic adds steps of its own, all of them in brackets."""
    return tuple(step for step in loc if step not in _TAGS)


def _without_values(what: str, found: Located) -> str:
    """`what` with the file's own text in the place of what the environment put there."""
    for _, leaf in leaves(found.node):
        if isinstance(leaf.value, str) and leaf.value and leaf.value != leaf.written and "${" in leaf.written:
            what = what.replace(quoted(leaf.value), quoted(leaf.written))
    return what
