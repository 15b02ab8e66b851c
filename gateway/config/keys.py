"""Every key of the file as a value: where it stands, what it means, and what the checks must know of it.

Whatever lists keys goes over these: `gateway check`, `GET /routes`, `gateway schema` and the tests of the examples. A
key that is added to a model is in all of them at once.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from gateway.config.model_base import KeyMark, Model
from gateway.config.values import parse_duration_s, parse_limit_bytes, parse_size_bytes

_DANGER = "Danger: "


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """One key. `path` leads to it from the model that was asked, without indexes and without names of your own."""

    path: tuple[str, ...]
    model: type[Model]
    field: FieldInfo

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def description(self) -> str:
        """What editors show beside the key, on one line. Empty where nobody wrote any."""
        return self.field.description or _docstrings(self.model).get(self.name, "")

    @property
    def danger(self) -> str | None:
        """What the key can open, in the words of its description."""
        _, found, danger = self.description.partition(_DANGER)
        return danger if found else None

    @property
    def inner(self) -> type[Model] | None:
        """The model of its value, or of the values in its list or mapping."""
        return model_of(self.field.annotation)

    @property
    def demands_token(self) -> bool:
        marks = self._parts()
        by_default = self.model.keys_demand_token and KeyMark.NEEDS_NO_TOKEN not in marks
        return by_default or KeyMark.DEMANDS_TOKEN in marks

    @property
    def is_secret(self) -> bool:
        """Whether it holds a secret that may stand in the file itself, or in one of its own by its twin."""
        return SecretStr in self._parts() and not self.is_content

    @property
    def is_content(self) -> bool:
        """Whether the file names a file, and the value is what that holds."""
        return KeyMark.CONTENT in self._parts()

    @property
    def is_file(self) -> bool:
        return KeyMark.FILE in self._parts()

    @property
    def is_duration(self) -> bool:
        return any(getattr(part, "func", None) is parse_duration_s for part in self._parts())

    @property
    def is_size(self) -> bool:
        return any(getattr(part, "func", None) in (parse_size_bytes, parse_limit_bytes) for part in self._parts())

    @property
    def may_be_empty(self) -> bool:
        return KeyMark.EMPTY_IS_NONE in self._parts()

    @property
    def may_be_list(self) -> bool:
        return tuple in self._parts()

    def _parts(self) -> tuple[Any, ...]:
        return (*self.field.metadata, *_parts(self.field.annotation))


@cache
def keys_of_model(model: type[Model]) -> tuple[ConfigKey, ...]:
    """The keys of `model` itself, in their order."""
    return tuple(ConfigKey((name,), model, field) for name, field in model.model_fields.items())


def keys_below(model: type[Model], path: tuple[str, ...] = ()) -> Iterator[ConfigKey]:
    """The keys of `model` and of all models in it, each before those inside it."""
    for key in keys_of_model(model):
        found = ConfigKey((*path, key.name), model, key.field)
        yield found
        if found.inner is not None:
            yield from keys_below(found.inner, found.path)


def token_demands(model: type[Model], path: tuple[str, ...] = ()) -> Iterator[ConfigKey]:
    """The keys that say something of tokens. What stands inside such a key is part of it."""
    for key in keys_of_model(model):
        found = ConfigKey((*path, key.name), model, key.field)
        if found.demands_token:
            yield found
        elif found.inner is not None:
            yield from token_demands(found.inner, found.path)


def secrets_of(model: type[Model]) -> tuple[ConfigKey, ...]:
    """The keys that hold a secret; each has a twin that names a file of it."""
    return tuple(key for key in keys_of_model(model) if key.is_secret)


def model_of(annotation: Any) -> type[Model] | None:
    """The model inside `annotation`, be it optional, annotated, or the value of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    return next((found for part in get_args(annotation) if (found := model_of(part))), None)


def _parts(annotation: Any) -> Iterator[Any]:
    """The types in `annotation`, and what they are annotated with."""
    if get_origin(annotation) is Annotated:
        annotated, *more = get_args(annotation)
        yield from more
        yield from _parts(annotated)
        return
    yield get_origin(annotation) or annotation
    for part in get_args(annotation):
        yield from _parts(part)


@cache
def _docstrings(model: type[Model]) -> Mapping[str, str]:
    """The text below each key of `model` and of those it is derived from.

    pydantic can read it too (`use_attribute_docstrings`), but with each start, which then takes twice as long. Here it
    is read from the source when somebody asks.
    """
    inherited: Mapping[str, str] = next((_docstrings(base) for base in model.__bases__ if issubclass(base, Model)), {})
    try:
        source = textwrap.dedent(inspect.getsource(model))
    except OSError:  # made by a function
        return inherited
    [definition] = ast.parse(source).body
    return {**inherited, **dict(_described(definition))}


def _described(definition: ast.stmt) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(definition.body if isinstance(definition, ast.ClassDef) else ()):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, " ".join(text.split())
