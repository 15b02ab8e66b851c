import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.environment import expand
from gateway.config.node import BROKEN, Node, plain
from gateway.config.yaml_reader import read_yaml


def expanded(text, environ):
    return (
        expand(Node({}, 1).with_entries({}), environ) if text is None else expand(Node(text, 7, written=text), environ)
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "alpha"),
        ("x-${A}-${B}-y", "x-alpha-beta-y"),
        ("${A:-other}", "alpha"),
        ("${NONE:-other}", "other"),
        ("${NONE:-}", ""),
        ("${EMPTY}", ""),
        ("${EMPTY:-other}", "other"),
        ("${NONE:-a:-b $ {x}", "a:-b $ {x"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A $ {A} $", "$A $ {A} $"),
        ("${NESTED}", "${A}"),
    ],
)
def test_variables_are_put_in(text, value):
    result = expanded(text, {"A": "alpha", "B": "beta", "EMPTY": "", "NESTED": "${A}"})
    assert (result.root.value, result.problems) == (value, [])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("${NONE}", "the environment has no variable NONE; set it, or write ${NONE:-default}"),
        *[
            (
                text,
                "there is a ${ that does not name a variable; write ${NAME}, ${NAME:-default}, or $${ for a literal ${",
            )
            for text in ("${", "${}", "${A", "${1A}", "${A B}", "${A:-${B}}", "${\u00c4}")
        ],
        ("${A:x}", "${A:…} is not how a default is written; write ${A:-default}"),
        ("${A-x}", "${A-…} is not how a default is written; write ${A:-default}"),
        ("${A:?x}", "${A:?…} is not how a default is written; write ${A:-default}"),
        ("${BYTES}", "the variable BYTES holds bytes that are not UTF-8; set it to text"),
    ],
)
def test_what_can_not_be_put_in_is_told_with_its_line(text, what):
    result = expanded(text, {"A": "alpha", "B": "beta", "BYTES": "\udcff"})
    assert [(p.line, p.what) for p in result.problems] == [(7, what)]
    assert result.root.value is BROKEN


def test_every_unset_variable_is_told_at_its_place():
    root, _ = read_yaml("a: [x, '${ONE}']\nb:\n  c: ${TWO}/${THREE}\n")
    problems = expand(root, {}).problems
    assert [(p.line, p.place, p.what.split(";")[0]) for p in problems] == [
        (1, "a[1]", "the environment has no variable ONE"),
        (3, "b.c", "the environment has no variable TWO"),
        (3, "b.c", "the environment has no variable THREE"),
    ]


def test_keys_are_left_as_they_are():
    root, _ = read_yaml('"${A}": ${A}\n')
    assert plain(expand(root, {"A": "alpha"}).root) == {"${A}": "alpha"}


def test_a_variable_in_an_anchor_is_told_once():
    root, _ = read_yaml("a: &a {x: '${NONE}'}\nb: *a\nc: *a\n")
    assert len(expand(root, {}).problems) == 1


def test_what_is_put_in_is_not_read_as_yaml():
    root, _ = read_yaml("a: ${A}\nb: ${B}")
    assert plain(expand(root, {"A": "{x: [1]}", "B": "true"}).root) == {"a": "{x: [1]}", "b": "true"}


@given(st.text(), st.dictionaries(st.from_regex(r"[A-Z_]{1,3}", fullmatch=True), st.text(max_size=8)))
def test_text_without_a_variable_is_never_changed(text, environ):
    text = text.replace("${", "")
    assert expanded(text, environ).root.value == text


@given(st.text(st.characters(codec="utf-8"), max_size=20), st.text(st.characters(codec="utf-8"), max_size=20))
def test_what_was_put_in_is_never_expanded_again(value, around):
    around = re.sub(r"[$]", "", around)
    result = expanded(f"{around}${{A}}{around}", {"A": value, "B": "no"})
    assert result.root.value == f"{around}{value}{around}"


@given(st.text(max_size=40))
def test_doubling_the_dollar_of_every_brace_makes_any_text_literal(text):
    # A $ before ${ would itself be half of the mark, so such texts have no literal form of this kind.
    text = re.sub(r"\$+\{", "${", text)
    assert expanded(text.replace("${", "$${"), {}).root.value == text
