import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from support.configuration import PROVIDER, ROUTE, loaded

from gateway.config.keys import keys_below
from gateway.config.model import Config
from gateway.config.schema import json_schema
from gateway.config.value_types import Flag


@pytest.fixture(scope="module")
def validator():
    Draft202012Validator.check_schema(json_schema())
    return Draft202012Validator(json_schema())


def test_it_is_json_and_made_anew_each_time():
    assert json.loads(json.dumps(json_schema())) == json_schema()
    assert json_schema() is not json_schema()


GOOD = [
    "",
    "server: {workers: auto, max_headers: '${N}', max_body: unlimited, max_header_bytes: 4096}",
    "server: {tls: null, workers: '${W:-2}'}",
    "admin: {token_file: a}\ncache: {redis_file: b, secret_file: c, ttl: '${TTL}'}",
    "log: {level: '${LEVEL:-info}', access: '${ACCESS}'}",
    "defaults: {auth: none, timeout: 5s, cors: {allow_origins: ['*']}, backend: http://a}",
    "defaults: {auth: {claims: {a: [1, true, x]}}, identity: {headers: {X-A: [a, b]}}}",
    "defaults: null",
    "server: {unknown_tokens: null}",
    "server: {unknown_tokens: {rate: 5, burst: '${BURST}'}}",
    "defaults: {auth: {stale_if_error: 5m, stale_methods: [GET, POST]}}",
    "defaults: {auth: '${MODE}'}",
    "defaults: {auth: {audience: a, roles: b, scopes: c, any_scope: [d]}}",
    "server: {listen: '${LISTEN}'}",
    "server: {listen: '[::1]:8080'}",
    "server: {listen: 'unix:/run/gateway.sock'}",
    "server: {listen: ':8080'}",
    "cache: {redis: '${REDIS}', secret: 0123456789abcdef}",
    "cache: {redis: null}",
    "x-mine: {anything: [goes, 5]}",
]
BAD = [
    "server: {workrs: 1}",
    "server: {workers: many}",
    "server: {max_headers: 0}",
    "server: {idle_timeout: 75}",
    "log: {level: loud}",
    "log: {access: 5}",
    "cache: {secret_fil: x}",
    "defaults: {name: x}",
    "defaults: {match: {path: /}}",
    "defaults: {auth: sometimes}",
    "defaults: {retries: 11}",
    "other: {}",
    "server: {listen: 8080}",
    "server: {listen: localhost}",
    "cache: {redis: redis://a}",
    "cache: {redis_file: a}",
    "cache: {redis: http://a, secret: b}",
    "cache: {secret: a, secret_file: b}",
    "admin: {token: a, token_file: b}",
    "server: {unknown_tokens: 200}",
    "server: {unknown_tokens: {rate: 0}}",
    "defaults: {auth: {stale_if_error: 300}}",
]


@pytest.mark.parametrize("text", GOOD)
def test_good_files_pass(validator, text):
    validator.validate(yaml.safe_load(PROVIDER + ROUTE + text))


@pytest.mark.parametrize("text", BAD)
def test_bad_files_do_not(validator, text):
    assert not validator.is_valid(yaml.safe_load(PROVIDER + ROUTE + text))


@pytest.mark.parametrize("text", [text for text in GOOD if "${" not in text and "_file" not in text])
def test_what_the_schema_passes_the_gateway_reads(text):
    assert loaded(PROVIDER + ROUTE + text)


def test_routes_are_needed_and_named(validator):
    for text in (PROVIDER, PROVIDER + "routes: []", PROVIDER + "routes: [{backend: http://a}]"):
        assert not validator.is_valid(yaml.safe_load(text))


def test_it_speaks_of_no_class():
    def keys(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value).union(*(keys(v) for v in value.values()))
        return set().union(*(keys(v) for v in value)) if isinstance(value, list) else set()

    assert not keys(json_schema()["$defs"]) & {"gt", "ge", "le", "writeOnly"}


SECTIONS = {
    "Server": "server: {}\n" + PROVIDER + ROUTE,
    "Admin": "admin: {}\n" + PROVIDER + ROUTE,
    "Cache": "cache: {}\n" + PROVIDER + ROUTE,
    "LogSettings": "log: {}\n" + PROVIDER + ROUTE,
    "Events": "events: {}\n" + PROVIDER + ROUTE,
    "BreakerSettings": PROVIDER.replace("hush-hush", "hush-hush, breaker: {}") + ROUTE,
    "Provider": PROVIDER.replace("{p: {", "{p: {<<: {}, ") + ROUTE,
    "Route": PROVIDER + ROUTE.replace("[{", "[{<<: {}, "),
    "Auth": PROVIDER + ROUTE.replace("http://a", "http://a, auth: {}"),
}


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_defaults_are_written_as_the_file_would_have_them(validator, name):
    schema = json_schema()
    keys = schema["properties"] if name == "Config" else schema["$defs"][name]["properties"]
    defaults = {key: part["default"] for key, part in keys.items() if "default" in part}
    assert defaults
    written = SECTIONS[name].replace("{}", json.dumps(defaults))
    validator.validate(yaml.safe_load(written))
    assert loaded(written) == loaded(SECTIONS[name])


def test_the_file_in_the_repository_is_of_today():
    """Examples name it, so that editors find it without a command."""
    path = Path(__file__).parents[2] / "config" / "gateway.schema.json"
    written, today = json.loads(path.read_text()), json_schema()
    assert of_any_pydantic(written) == of_any_pydantic(today), (
        "write it anew: .venv/bin/gateway schema > config/gateway.schema.json"
    )


def of_any_pydantic(schema: Any) -> Any:
    """A schema without what only some releases say: one value in an `enum` of one beside `const`, examples of names."""
    if isinstance(schema, list):
        return [of_any_pydantic(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    more = {"enum"} if "const" in schema else set()
    if schema.get("propertyNames", {}).keys() == {"examples"}:
        more.add("propertyNames")
    return {key: of_any_pydantic(value) for key, value in schema.items() if key not in more}


def test_every_example_names_the_schema():
    project = Path(__file__).parents[2]
    examples = [*(project / "config").glob("*.yaml"), *(project / "deploy").glob("*/gateway.yaml")]
    for path in examples:
        if path.name == "cases.yaml":
            continue
        first = path.read_text().partition("\n")[0]
        assert first.startswith("# yaml-language-server: $schema="), path
        assert (path.parent / first.partition("=")[2]).resolve() == project / "config" / "gateway.schema.json"


def test_a_flag_is_read_as_one_wherever_a_key_has_one():
    """Without the parser of flags pydantic takes `yes` and 1 for true, and a message does not say what to write."""
    flags = [
        key.path
        for key in keys_below(Config)
        if key.field.annotation is bool and Flag.__metadata__[0] not in key.field.metadata
    ]
    assert flags == []
