"""What the imported configuration lets through, Oathkeeper would have let through: compared on generated rules."""

import re
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.compiled import compile_config
from gateway.config.load import load_text
from gateway.migration.access_rules import OathkeeperSettings, read_rules
from gateway.migration.carried_rule import carry
from gateway.migration.written_config import REFUSES, migrate
from gateway.routing import Matched

HOSTS = ["a.ex", "b.ex", "a.ex:4455", "<.*>", "<.*>.ex", "<a|b>.ex", "<[^/]+>", "<[a-z]+>.ex"]
SEGMENTS = ["x", "y", "<[^/]+>", "<[0-9]+>", "<x|y>", "<.*>", "<.+>", "x<.*>", "x<(/.*)?>", "<(?!x).*>", "x</?>"]
METHODS = ["GET", "POST"]
REQUESTS = [
    (method, host, path)
    for method, host, path in product(
        METHODS,
        ["a.ex", "b.ex", "c.a.ex", "other"],
        ["/", "/x", "/y", "/z", "/7", "/x/", "/xx", "/x/x", "/x/y", "/x/7", "/x/y/", "/y/x", "/x/y/7", "/7/x/y/z"],
    )
]

paths = st.lists(st.sampled_from(SEGMENTS), max_size=3).map(lambda parts: "/" + "/".join(parts))
urls = st.builds(lambda host, path: f"http://{host}{path}", st.sampled_from(HOSTS), paths)
rules = st.builds(
    lambda url, methods, authorizer: {"match": {"url": url, "methods": methods}, "authorizer": {"handler": authorizer}},
    urls,
    st.lists(st.sampled_from(METHODS), min_size=1, unique=True),
    st.sampled_from(["allow", "allow", "allow", "deny"]),
)


def rule_file(generated):
    """Open rules, so that a request alone says whether it passes; a header tells which rule it was."""
    return [
        {
            "id": str(number),
            "upstream": {"url": "http://backend"},
            "authenticators": [{"handler": "noop"}],
            "mutators": [{"handler": "header", "config": {"headers": {"X-Rule": str(number)}}}],
            **rule,
        }
        for number, rule in enumerate(generated)
    ]


def matches(url: str, host: str, path: str) -> bool:
    """As Oathkeeper's engine for regular expressions: literals quoted, patterns as groups.

    Ports are not compared, and a pattern in the host, which there also takes a path in, is meant for hosts.
    """
    url = re.sub(r":\d+(?=/)", "", url).replace("http://<.*>", "http://<[^/]*>")
    parts = re.split(r"<([^<>]*)>", url)
    pattern = "".join(f"({text})" if index % 2 else re.escape(text) for index, text in enumerate(parts))
    return re.fullmatch(pattern, f"http://{host}{path}") is not None


def matches_glob(url: str, host: str, path: str) -> bool:
    """As Oathkeeper's engine for globs (gobwas/glob, whose separators are `.` and `/`); the host as above."""
    url = re.sub(r":\d+(?=/)", "", url).replace("http://<**>", "http://<[^/]*>")
    parts = re.split(r"<([^<>]*)>", url)
    pattern = "".join(glob_as_regexp(text) if index % 2 else re.escape(text) for index, text in enumerate(parts))
    return re.fullmatch(pattern, f"http://{host}{path}") is not None


def glob_as_regexp(glob: str) -> str:
    if glob == "[^/]*":
        return glob
    words = {"**": ".*", "*": "[^./]*", "{": "(?:", "}": ")", ",": "|"}
    return "".join(words.get(word, re.escape(word)) for word in re.findall(r"\*\*|.", glob))


def table_of(document, strategy="regexp"):
    text = migrate(read_rules([document], "rules.json", OathkeeperSettings({})), "rules.json", strategy, widen=False)
    return compile_config(load_text(text.text, "gateway.yaml", environ={}, directory=Path("/"))).table


def lets_through(table, method: str, host: str, path: str) -> str | None:
    """The number of the rule whose route lets the request through."""
    found = table.find(host, path[1:].split("/"), method)
    if not isinstance(found, Matched) or found.value.config.auth.mode != "none":
        return None
    return found.value.config.request_headers.set["X-Rule"]


@given(st.lists(rules, min_size=1, max_size=4))
def test_what_passes_here_passed_there_by_the_same_rule(generated):
    document = rule_file(generated)
    table = table_of(document)
    told = read_rules([document], "rules.json", OathkeeperSettings({}))
    exact = {
        one.rule.id
        for one in (carry(rule, "regexp", widen=False, decisions_only=False) for rule in told)
        if one.places.places and not one.places.notes and not one.places.why
    }
    for method, host, path in REQUESTS:
        passed = lets_through(table, method, host, path)
        if passed is None:
            continue
        by = {
            rule["id"]
            for rule in document
            if method in rule["match"]["methods"] and matches(rule["match"]["url"], host, path)
        }
        assert passed in by, (method, host, path)
        assert next(rule for rule in document if rule["id"] == passed)["authorizer"]["handler"] == "allow"
        assert by & exact <= {passed}, (method, host, path, "another rule matches, which Oathkeeper answers with 500")


glob_urls = st.builds(
    lambda host, parts: f"http://{host}/{'/'.join(parts)}",
    st.sampled_from(["a.ex", "<**>", "<**>.ex", "<{a,b}>.ex", "<*>.ex"]),
    st.lists(st.sampled_from(["x", "y", "<*>", "<**>", "<{x,y}>", "<{x,y/{x,z},**.css}>", "x<**>"]), max_size=3),
)


@given(st.lists(glob_urls, min_size=1, max_size=3))
def test_what_passes_here_passed_there_by_globs_too(urls):
    document = rule_file(
        {"match": {"url": url, "methods": ["GET"]}, "authorizer": {"handler": "allow"}} for url in urls
    )
    table = table_of(document, "glob")
    for _, host, path in (one for one in REQUESTS if one[0] == "GET"):
        passed = lets_through(table, "GET", host, path)
        assert passed is None or matches_glob(urls[int(passed)], host, path), (host, path)


@given(rules)
def test_a_rule_alone_loses_nothing_where_it_says_nothing(rule):
    document = rule_file([rule])
    [carried] = [
        carry(one, "regexp", widen=False, decisions_only=False)
        for one in read_rules([document], "rules.json", OathkeeperSettings({}))
    ]
    if carried.why or carried.notes or carried.partly:
        return
    table = table_of(document)
    for method, host, path in REQUESTS:
        known = method in rule["match"]["methods"] and matches(rule["match"]["url"], host, path)
        if known:
            assert lets_through(table, method, host, path) == "0", (method, host, path)


@pytest.mark.parametrize(
    ("rules_there", "request_here", "passes"),
    [
        ([("http://a.ex/x/<.*>", ["GET"])], ("GET", "a.ex", "/x"), False),
        ([("http://a.ex/x/<.*>", ["GET"]), ("http://a.ex/x", ["GET"])], ("GET", "a.ex", "/x"), True),
        ([("http://a.ex/<.*>", ["GET"]), ("http://a.ex/x/<.*>", ["GET"])], ("GET", "a.ex", "/x/1"), False),
        ([("http://a.ex/<.*>", ["GET"]), ("http://a.ex/x/<.*>", ["POST"])], ("GET", "a.ex", "/x/1"), True),
        ([("http://a.ex/<.*>", ["GET"]), ("http://<.*>/x/<.*>", ["GET"])], ("GET", "a.ex", "/x/1"), False),
        ([("http://a.ex/<.*>", ["GET"]), ("http://<.*>/x/<.*>", ["GET"])], ("GET", "b.ex", "/x/1"), True),
        ([("http://a.ex/x", ["GET"]), ("https://a.ex/x", ["GET"])], ("GET", "a.ex", "/x"), False),
    ],
)
def test_requests_that_two_rules_match_are_refused(rules_there, request_here, passes):
    document = rule_file(
        {"match": {"url": url, "methods": methods}, "authorizer": {"handler": "allow"}} for url, methods in rules_there
    )
    assert (lets_through(table_of(document), *request_here) is not None) is passes


def test_a_route_that_refuses_wants_what_no_token_has():
    table = table_of(rule_file([{"match": {"url": "http://a.ex/x", "methods": ["GET"]}}]))
    found = table.find("a.ex", ["x"], "GET")
    assert [str(rule) for rule in found.value.config.auth.claims] == list(REFUSES["claims"])
