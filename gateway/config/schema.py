"""JSON Schema (2020-12) of the file as people write it, for their editors.

It starts from the models' own schema and adds what the file has on top of them: `…_file` twins, `defaults`,
`auth: none`, and `${NAME}` wherever something else than free text is expected.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from gateway.config.files import TWIN
from gateway.config.keys import ConfigKey, keys_below, keys_of_model
from gateway.config.model import DEFAULTS, Cache, Config
from gateway.config.model_base import Model
from gateway.config.route_model import ONE_ROUTES_OWN
from gateway.config.schema_defaults import written_default

_Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
# A name for editors that keep schemas; it is not an address.
_ID = "urn:gateway:configuration"
_ENVIRONMENT: _Schema = {
    "description": "Taken from the environment: ${NAME} or ${NAME:-default}.",
    "type": "string",
    "pattern": r"\$\{[A-Za-z_]",
}
# The names that pydantic gives to bounds it cannot place beside a parser of ours.
_BOUNDS = {"ge": "minimum", "le": "maximum"}
_LEFT_OUT = frozenset(["title", "gt", "writeOnly"])
# The marks of what is not a free text.
_PARSED = frozenset(["enum", "const", "pattern"])
_PARSED_TYPES = ("boolean", "integer", "number")


class _WithoutDefaults(GenerateJsonSchema):
    """The models' defaults are seconds and bytes; the descriptions have them as the file writes them."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> _Schema:
        return self.generate_inner(schema["schema"])


def json_schema() -> _Schema:
    """The schema as a new dict, ready for `json.dumps`."""
    generated = Config.model_json_schema(schema_generator=_WithoutDefaults)
    schemas: dict[str, _Schema] = {**generated.pop("$defs"), "Config": generated}
    described: dict[str, type[Model]] = {key.inner.__name__: key.inner for key in keys_below(Config) if key.inner}
    described["Config"] = Config
    models = {name: _for_files(described[name], schema) for name, schema in schemas.items()}
    _complete(models)
    top = models.pop("Config")
    return {
        "$schema": _DIALECT,
        "$id": _ID,
        "title": "Configuration of the gateway",
        **top,
        "$defs": {**models, "Environment": _ENVIRONMENT},
    }


def _for_files(model: type[Model], schema: _Schema) -> _Schema:
    """A model's schema with what its keys mean, each of them open to the environment, and twins for its secrets."""
    keys: _Schema = {}
    for key in keys_of_model(model):
        is_mapping = schema["properties"][key.name].get("type") == "object"
        default = None if is_mapping else written_default(key)
        keys[key.name] = {
            "description": key.description,
            **({} if default is None else {"default": default}),
            **_open(schema["properties"][key.name]),
        }
    for key in keys_of_model(model):
        if key.is_secret:
            keys[key.name + TWIN] = _twin(key)
    required = {"required": schema["required"]} if "required" in schema else {}
    both = [{"not": {"required": [key.name, key.name + TWIN]}} for key in keys_of_model(model) if key.is_secret]
    rules = [*both, *_needs_secret()] if model is Cache else both
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": keys,
        **required,
        **({"allOf": rules} if rules else {}),
    }


def _needs_secret() -> list[_Schema]:
    """A cache with a Redis needs a secret, in one of its two places."""
    needed = {"anyOf": [{"required": ["secret"]}, {"required": ["secret_file"]}]}
    named = {"properties": {"redis": {"type": "string"}}, "required": ["redis"]}
    return [{"if": named, "then": needed}, {"if": {"required": ["redis_file"]}, "then": needed}]


def _twin(key: ConfigKey) -> _Schema:
    return {"description": f"The path of a file that holds {key.name}, instead of it.", "type": "string"}


def _open(schema: Any) -> Any:
    """`schema` where what is not a free text may be a variable too."""
    if isinstance(schema, list):
        return [_open(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {_BOUNDS.get(key, key): _open(value) for key, value in schema.items() if key not in _LEFT_OUT}
    if not inner.keys().isdisjoint(_PARSED) or inner.get("type") in _PARSED_TYPES:
        return {"anyOf": [inner, {"$ref": "#/$defs/Environment"}]}
    return inner


def _as_one_or_many(schema: _Schema) -> _Schema:
    """A list of mappings where each of these may be a text instead, and one of either the whole."""
    one: list[_Schema] = [{"type": "string"}, schema["items"]]
    many = {key: value for key, value in schema.items() if key != "description"} | {"items": {"anyOf": one}}
    return {"description": schema["description"], "anyOf": [*one, many]}


def _complete(models: dict[str, _Schema]) -> None:
    """What the file has and the models do not."""
    route = models["Route"]
    modes = models["Auth"]["properties"]["mode"]["anyOf"]
    auth = route["properties"]["auth"]
    auth["anyOf"] = [{"$ref": auth.pop("$ref")}, *modes]
    route["properties"]["backend"] = _as_one_or_many(route["properties"]["backend"])
    defaults = {key: value for key, value in route["properties"].items() if key not in ONE_ROUTES_OWN}
    models["Defaults"] = {**route, "properties": defaults, "required": []}
    # Whatever else a route needs it may have from the defaults.
    route["required"] = ["name"]
    models["Cors"].pop("required")
    top = models["Config"]
    top["properties"]["defaults"] = {
        "description": DEFAULTS,
        "anyOf": [{"$ref": "#/$defs/Defaults"}, {"type": "null"}],
    }
    for name in ("server", "admin", "cache", "log"):
        section = top["properties"][name]
        section["anyOf"] = [{"$ref": section.pop("$ref")}, {"type": "null"}]
    top["properties"]["routes"]["minItems"] = 1
    top["patternProperties"] = {"^x-": {"description": "Yours: a place for anchors. It is not read."}}
    top["required"] = ["routes"]
