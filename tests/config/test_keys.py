"""A key that is added to a model is in everything that lists keys, and none of them can forget it."""

import json
from typing import Annotated

import pytest
from pydantic import BeforeValidator, SecretStr
from support.configuration import PROVIDER, lines, loaded, with_route
from support.everything import Written
from support.other_values import mapping_of, other_values

from gateway.admin.describe import describe
from gateway.authn.tolerance import longest_tolerated_s
from gateway.compiled import compile_config
from gateway.config import sections
from gateway.config.auth_model import Auth
from gateway.config.keys import keys_below, keys_of_model, secrets_of, token_demands
from gateway.config.model import Config
from gateway.config.model_base import KeyMark, Model
from gateway.config.provider_model import Provider, ProviderEvents
from gateway.config.route_model import Route
from gateway.config.server_model import Tls
from gateway.config.value_types import Seconds

USELESS = "with mode none no token is looked at; take this out, or write mode: required"


class AuthWithMore(Auth):
    """`auth` as somebody has extended it who changed nothing but the model."""

    tribes: tuple[str, ...] = ()
    """All of these must be in tribes. Default none. Danger: none, this is
    only a test."""

    max_nap: Seconds | None = None


class Exchange(Model):
    audience: str


class RouteWithMore(Route):
    auth: Annotated[
        AuthWithMore, BeforeValidator(lambda value: {"mode": value} if isinstance(value, str) else value)
    ] = AuthWithMore()
    exchange: Annotated[Exchange | None, KeyMark.DEMANDS_TOKEN] = None


class ConfigWithMore(Config):
    routes: tuple[RouteWithMore, ...] = ()


def another(path, key):
    """A value that is not the default; of a mapping, or of a list of such, one with all of its keys."""
    if values := other_values(path):
        [value] = values
        return value
    return [mapping_of(path)] if key.may_be_list else mapping_of(path)


def test_every_key_is_described():
    assert [key.path for key in keys_below(Config) if not key.description] == []


def test_a_description_is_found_below_its_key_and_stands_on_one_line():
    described = {key.name: (key.description, key.danger) for key in keys_of_model(AuthWithMore)}
    danger = "none, this is only a test."
    assert described["tribes"] == (f"All of these must be in tribes. Default none. Danger: {danger}", danger)
    assert described["scopes"] == ("All of these must be in scope. Default none.", None)
    assert described["max_nap"] == ("", None)


def test_a_key_that_is_added_to_auth_demands_a_token_unless_it_says_otherwise():
    more = {key.path for key in token_demands(ConfigWithMore)} - {key.path for key in token_demands(Config)}
    assert more == {("routes", "auth", "tribes"), ("routes", "auth", "max_nap"), ("routes", "exchange")}
    asking_for_nothing = {key.name for key in keys_of_model(Auth) if not key.demands_token}
    assert asking_for_nothing == {"mode", "streams"}


@pytest.mark.parametrize("key", tuple(token_demands(Route)), ids=lambda key: key.name)
def test_every_key_that_demands_a_token_is_refused_where_none_is_looked_at(key):
    value = another(("routes", *key.path), key)
    route = {"name": "a", "backend": "http://a", "auth": {"mode": "none"}}
    place = route
    for step in key.path[:-1]:
        place = place.setdefault(step, {})
    place[key.name] = value
    found = lines(PROVIDER + f"routes: [{json.dumps(route)}]")
    assert f"2: routes[0].{'.'.join(key.path)}: {USELESS}" in found


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ("auth: {mode: none, tribes: [staff]}", "auth.tribes"),
        ("auth: {mode: none, max_nap: 0s}", "auth.max_nap"),
        ("auth: none\nexchange: {audience: orders}", "exchange"),
    ],
)
def test_so_is_one_that_was_only_added_to_the_model(monkeypatch, keys, place):
    monkeypatch.setattr(sections, "Route", RouteWithMore)
    text = with_route(f"name: a\nbackend: http://a\n{keys}")
    assert lines(text) == [f"{5 + keys.count(chr(10))}: routes[0].{place}: {USELESS}"]


@pytest.mark.parametrize("key", [key for key in keys_of_model(Auth) if key.name != "mode"], ids=lambda key: key.name)
def test_every_key_of_auth_is_shown_by_get_routes(key):
    value = another(("routes", "auth", key.name), key)
    route = {"name": "a", "backend": "http://a", "auth": {key.name: value}}
    [shown] = describe(Config.model_validate({"routes": [route]}))
    assert json.loads(json.dumps(shown["auth"])).keys() == {"mode", f"{key.name}_s" if key.is_duration else key.name}


def test_it_is_shown_by_get_routes():
    route = {"name": "a", "backend": "http://a", "auth": {"tribes": ["staff"], "max_nap": "5m"}}
    [shown] = describe(ConfigWithMore.model_validate({"routes": [route]}))
    assert shown["auth"] == {"mode": "required", "tribes": ["staff"], "max_nap_s": 300.0}


def test_the_examples_must_name_it():
    everything = Written("routes: [{auth: {tribes: [a]}}]\n# exchange: {audience: orders}\n")
    assert ("routes", "auth", "tribes") in everything
    assert ("routes", "exchange") in everything
    assert ("routes", "auth", "max_nap") not in everything


def unread(config: Config, monkeypatch) -> list[str]:
    """The demands of its first route that nobody reads while the configuration is compiled."""
    read: set[str] = set()

    def noted(auth: Auth, name: str) -> object:
        read.add(name)
        return object.__getattribute__(auth, name)

    route = config.routes[0]
    monkeypatch.setattr(Auth, "__getattribute__", noted, raising=False)
    compile_config(config)
    longest_tolerated_s(config.routes, config.providers)
    return [key.name for key in token_demands(type(route.auth)) if key.name not in read]


def test_every_demand_is_read_where_the_configuration_is_compiled(monkeypatch):
    """One that nobody reads leaves a route open that its author believes guarded."""
    text = PROVIDER + "routes: [{name: a, backend: http://a, auth: {stale_if_error: 5m}}]"
    assert unread(loaded(text), monkeypatch) == []
    config = loaded(text)
    more = RouteWithMore(name="a", backend="http://a", auth={"stale_if_error": "5m"})
    assert unread(config.model_copy(update={"routes": (more,)}), monkeypatch) == ["tribes", "max_nap"]


def test_what_is_a_secret_or_a_path_is_told_by_its_type():
    assert [key.name for key in secrets_of(Provider)] == ["client_secret", "private_key", "proxy"]
    assert [key.name for key in secrets_of(ProviderEvents)] == ["authorization"]
    assert [key.name for key in keys_of_model(Tls) if key.is_file] == ["certificate", "key", "client_ca"]
    [secret] = [key for key in keys_below(Config) if key.is_secret and key.may_be_list]
    assert secret.path == ("cache", "secret")
    [token] = [key for key in keys_below(Config) if key.may_be_empty]
    assert token.path == ("admin", "token")


def test_a_secret_is_never_shown():
    class Guarded(AuthWithMore):
        password: SecretStr | None = None

    config = Config.model_construct(
        routes=(Route(name="a", backend="http://a").model_copy(update={"auth": Guarded(password="hush")}),)
    )
    assert describe(config)[0]["auth"] == {"mode": "required"}
