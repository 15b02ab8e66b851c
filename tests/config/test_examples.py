import re
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jsonschema import Draft202012Validator
from support.everything import Written

from gateway.compiled import compile_config
from gateway.config.auth_model import Auth
from gateway.config.keys import keys_below, token_demands
from gateway.config.load import load_text
from gateway.config.model import Config
from gateway.config.route_model import Cors, Route
from gateway.config.schema import json_schema
from gateway.runtime.case_file import load_cases
from gateway.runtime.case_run import differences

FOLDER = Path(__file__).parents[2] / "config"
CASES = FOLDER / "cases.yaml"
EXAMPLES = sorted(set(FOLDER.glob("*.yaml")) - {CASES})


@pytest.fixture(scope="module")
def environ():
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "GATEWAY_ISSUER": "https://sso.example.com/realms/demo",
        "GATEWAY_CLIENT_SECRET": "client-secret",
        "GATEWAY_CACHE_SECRET": "secret-of-the-cache",
        "STAFF_CLIENT_SECRET": "staff-secret",
        "DEVICES_CLIENT_SECRET": "devices-secret",
        "PARTNERS_PRIVATE_KEY": key.decode(),
    }


def test_there_are_examples():
    assert [path.name for path in EXAMPLES] == ["everything.yaml", "keycloak.yaml", "minimal.yaml", "providers.yaml"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_loads(path, environ):
    assert load_text(path.read_text(), path.name, environ=environ, directory=FOLDER).routes


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_fits_the_schema(path):
    Draft202012Validator(json_schema()).validate(yaml.safe_load(path.read_text()))


def test_the_example_of_cases_holds_for_the_file_that_it_names(environ):
    config = load_text((FOLDER / "keycloak.yaml").read_text(), "keycloak.yaml", environ=environ, directory=FOLDER)
    compiled = compile_config(config)
    assert {
        case.name: found for _, case in load_cases(str(CASES)) if (found := differences(compiled, case, 1.7e9))
    } == {}


def everything() -> Written:
    return Written((FOLDER / "everything.yaml").read_text())


def test_everything_names_every_key():
    assert [key.path for key in keys_below(Config) if key.path not in everything()] == []


def test_everything_tells_the_dangers_that_the_descriptions_tell():
    written = everything()
    assert {key.path for key in keys_below(Config) if key.danger} == {
        key.path for key in keys_below(Config) if "Danger:" in written.comment(key.path)
    }


def test_the_guide_tells_of_every_demand_on_a_token():
    guide = (FOLDER.parent / "docs" / "configuration.md").read_text()
    assert [key.path for key in token_demands(Config) if not re.search(rf"\b{key.name}\b", guide)] == []


def test_everything_shows_the_defaults_where_it_says_so(environ):
    path = FOLDER / "everything.yaml"
    config = load_text(path.read_text(), path.name, environ=environ, directory=FOLDER)
    plain = Config()
    assert config.server == plain.server
    assert config.admin == plain.admin
    assert config.log == plain.log
    told = {"redis", "secret"}
    assert config.cache.model_dump(exclude=told) == plain.cache.model_dump(exclude=told)
    route, least = config.routes[0], Route(name="orders", backend="http://orders:8000")
    telling = {"name", "match", "backend", "strip_prefix", "auth", "request_headers", "response_headers", "cors"} | {
        "resource"
    }
    assert route.model_dump(exclude=telling) == least.model_dump(exclude=telling)
    assert isinstance(route.cors, Cors)
    assert isinstance(route.auth, Auth)
