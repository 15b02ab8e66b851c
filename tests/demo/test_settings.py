from pathlib import Path

from gateway.config.load import load_text
from gateway.demo.places import Places
from gateway.demo.settings import ADMIN_TOKEN, NAME, TTL_S, text
from gateway.demo.tokens import ACCESS_LIFE_S


def test_it_is_a_configuration_without_problems():
    config = load_text(text(Places()), NAME, environ={}, directory=Path())
    assert str(config.server.listen) == "127.0.0.1:8080"
    assert str(config.admin.listen) == "127.0.0.1:9090"
    assert config.admin.token is not None
    assert config.admin.token.get_secret_value() == ADMIN_TOKEN
    assert [route.name for route in config.routes] == ["public", "orders", "orders-write"]
    assert {str(backend) for route in config.routes for backend in route.backend} == {"http://127.0.0.1:8082"}


def test_nothing_but_the_ttl_ends_an_answer_while_somebody_reads_the_guide():
    assert TTL_S < ACCESS_LIFE_S
    assert load_text(text(Places()), NAME, environ={}, directory=Path()).cache.ttl == TTL_S
