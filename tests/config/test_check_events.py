import pytest
from support.configuration import PROVIDER, ROUTE, lines, loaded

SSO = "issuer: https://sso.example.com, client_id: gw, client_secret: hush-hush"
BLIND = "introspection_endpoint: https://sso.example.com, client_id: gw, client_secret: hush-hush"


def provider(keys, own=SSO):
    return f"providers: {{p: {{{own}, events: {{{keys}}}}}}}\n{ROUTE}events: {{}}\n"


def routes(*items, prefix="/a"):
    return f"{PROVIDER}events: {{prefix: {prefix}}}\nroutes:\n" + "".join(f"  - {{{item}}}\n" for item in items)


def test_without_the_key_nobody_can_send_anything():
    assert loaded(PROVIDER + ROUTE).events is None
    assert loaded(PROVIDER + ROUTE + "events:\n").events is None


def test_an_empty_mapping_takes_the_defaults():
    events = loaded(PROVIDER + ROUTE + "events: {}").events
    assert (str(events.prefix), events.repeat_after) == ("/.gateway/events", (1.0, 5.0))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("prefix: /a/**", "events.prefix: '/a/**' is not a prefix; write literal segments"),
        ("prefix: '/a/{x}'", "events.prefix: '/a/{x}' is not a prefix; write literal segments"),
        ("prefix: /", "events.prefix: '/' is not a prefix; write literal segments"),
        ("prefix: /a/", "events.prefix: '/a/' is not a prefix; write literal segments"),
        ("prefix: a", "events.prefix: 'a' is not a path; write one that starts with a slash"),
        ("repeat_after: [1s, 2]", "events.repeat_after[1]: 2 is not a duration; write"),
        ("repeat_after: [0s]", "events.repeat_after[0]: '0s' is too little; write more than 0"),
        ("repeat_after: [6m]", "events.repeat_after: too many, or too late; write up to 5 durations of at most 5m"),
        ("repeat_after: [1s, 1s, 1s, 1s, 1s, 1s]", "events.repeat_after: too many, or too late; write up to 5"),
        ("path: /a", "events.path: unknown key; "),
    ],
)
def test_what_is_wrong_with_events(keys, expected):
    [line] = lines(PROVIDER + ROUTE + f"events: {{{keys}}}\n")
    assert line.startswith(f"3: {expected}")


@pytest.mark.parametrize("path", ["/a", "/a/**", "/a/b", "'/a/{x}'", "/%61/b"])
def test_a_route_under_the_prefix_is_refused(path):
    [line] = lines(routes(f"name: r, backend: http://b, match: {{path: {path}}}"))
    assert line.startswith("4: routes[0].match.path: ")
    assert " lies under /a, where the gateway answers itself (events.prefix); write another path" in line


@pytest.mark.parametrize("path", ["/**", "/ab", "'/{x}'", "/", "/A", "'/{x}/b'"])
def test_a_route_beside_it_is_not(path):
    assert lines(routes(f"name: r, backend: http://b, match: {{path: {path}}}")) == []


@pytest.mark.parametrize(
    ("keys", "own", "expected"),
    [
        ("audience: [a]", BLIND, "it is not said whose events they are; write issuer: https://… there"),
        (
            "issuer: https://e",
            BLIND,
            "its keys cannot be found by the provider's issuer; write jwks_uri: https://… there",
        ),
        (
            "issuer: https://e",
            SSO,
            "its keys cannot be found by the provider's issuer; write jwks_uri: https://… there",
        ),
    ],
)
def test_a_transmitter_must_be_known_with_its_keys(keys, own, expected):
    assert lines(provider(keys, own)) == [f"1: providers.p.events: {expected}"]


@pytest.mark.parametrize(
    ("keys", "own"),
    [
        ("", SSO),
        ("issuer: https://sso.example.com", SSO),
        ("issuer: https://e, jwks_uri: https://e/keys", SSO),
        ("issuer: https://e, jwks_uri: https://e/keys", BLIND),
        ("issuer: https://e", SSO + ", jwks_uri: https://e/keys"),
        ("audience: app", SSO),
        ("audience: [app, web], authorization: Bearer x", SSO),
    ],
)
def test_what_is_enough(keys, own):
    assert lines(provider(keys, own)) == []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("audience: []", "audience: the list is empty; write"),
        ("issuer: sso", "issuer: 'sso' is not an http or https URL"),
        ("jwks_uri: 7", "jwks_uri: "),
        (
            "secret: x",
            "secret: unknown key; write one of issuer, jwks_uri, audience, authorization, authorization_file",
        ),
        ('authorization: "a\\nb"', "authorization: this cannot be sent in a header; write"),
        ("authorization: a, authorization_file: b", "authorization_file: authorization is given as well; keep one"),
        ("authorization_file: missing", "authorization_file: /nowhere/missing is not a file that exists; write"),
        ("authorization: ''", "authorization: this is empty; set it, or leave the key out"),
    ],
)
def test_what_is_wrong_with_a_providers_own(keys, expected):
    [line] = lines(provider(keys))
    assert line.startswith(f"1: providers.p.events.{expected}")


def test_no_message_shows_the_secret():
    assert "s3cr" not in str(lines(provider('authorization: "s3cr\\net"')))


def test_the_secret_is_read_from_a_file(tmp_path):
    (tmp_path / "push").write_text("Bearer s3cret\n")
    events = loaded(provider("authorization_file: push"), directory=tmp_path).providers["p"].events
    assert events.authorization.get_secret_value() == "Bearer s3cret"


def test_events_of_a_provider_that_nobody_receives():
    text = provider("audience: a").replace("events: {}\n", "")
    assert lines(text) == ["1: providers.p.events: nobody receives them; write events: {} at the top of the file too"]


def test_events_that_no_provider_can_send():
    [line] = lines(f"providers: {{p: {{{BLIND}}}}}\n{ROUTE}events: {{}}\n")
    assert line.startswith("3: events: no provider has an issuer, so nobody can send any; write issuer:")


def test_what_acts_on_success_has_to_take_a_post():
    good = "name: r, backend: http://b, on_success: evict_token"
    assert lines(routes(good)) == []
    assert lines(routes(good + ", match: {path: /r, methods: [POST]}")) == []
    [line] = lines(routes(good + ", match: {path: /r, methods: [GET]}"))
    assert line.startswith(
        "4: routes[0].on_success: a revocation is a POST, which match.methods leaves out; write POST"
    )
    [line] = lines(routes("name: r, backend: http://b, on_success: evict"))
    assert line == "4: routes[0].on_success: 'evict' is not one of evict_token; write evict_token"
