import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import yaml_reader
from gateway.config.node import Node, plain
from gateway.config.yaml_mistakes import TEMPLATE
from gateway.config.yaml_reader import read_yaml


def read(text: str) -> object:
    root, problems = read_yaml(text)
    assert problems == []
    assert root is not None
    return plain(root)


def wrongs(text: str) -> list[tuple[int | None, str, str]]:
    return [(p.line, p.place, p.what) for p in read_yaml(text)[1]]


@pytest.fixture(params=["libyaml", "python"], autouse=True)
def either_parser(request, monkeypatch):
    monkeypatch.setattr(yaml_reader, "_LOADER", yaml.SafeLoader if request.param == "python" else yaml_reader._LOADER)


def test_every_value_and_key_knows_its_line():
    root, _ = read_yaml("a:\n  b:\n    - x\n    - y: 1\n\n\nc: >\n  folded\n")
    assert root is not None
    b = root.entries["a"].node.entries["b"]
    assert (root.entries["a"].line, b.line) == (1, 2)
    assert [item.line for item in b.node.value] == [3, 4]
    assert root.entries["c"].line == 7


def test_anchors_aliases_and_merge_keys_work():
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\nd: {<<: [{y: 9}, *a]}\n"
    assert read(text) == {"a": {"x": 1, "y": 2}, "b": {"y": 3, "x": 1}, "c": {"x": 1, "y": 2}, "d": {"y": 9, "x": 1}}


def test_a_quoted_merge_key_is_an_ordinary_key():
    assert read('"<<": 1') == {"<<": 1}


def test_what_yaml_1_1_reads_as_something_else_stays_text():
    assert read("a: [12:30, 2024-01-01, 010, yes, off, 1_000, 1e3, 0x1f, .5, 1.0e+3, ~]") == {
        "a": ["12:30", "2024-01-01", "010", "yes", "off", "1_000", "1e3", 31, 0.5, 1000.0, None]
    }


def test_explicit_tags_of_scalars_are_followed():
    assert read("a: !!str 8080\nb: !!int '8'\nc: ! 5") == {"a": "8080", "b": 8, "c": "5"}


@pytest.mark.parametrize(
    ("text", "line", "place", "what"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "a", "this key stands twice, in line 1 and here; keep one"),
        ("r:\n  - k:\n      x: 1\n      x: 2\n", 4, "r[0].k.x", "this key stands twice, in line 3 and here; keep one"),
        ("a:\n  1: x\n", 2, "a", "a key here is a number; write a text, in quotes where YAML reads something else"),
        ("true: x\n", 1, "", "a key here is true or false; write a text, in quotes where YAML reads something else"),
        ("? [a]\n: b\n", 1, "", "a key here is a list; write a text, in quotes where YAML reads something else"),
        ("", None, "", "the file is empty; write server:, providers: and routes:"),
        ("# only words\n", None, "", "the file is empty; write server:, providers: and routes:"),
        ("---\n", None, "", "the file is empty; write server:, providers: and routes:"),
        ("a: 1\n---\nb: 2\n", 3, "", "a second document begins here; write one only, without ---"),
        (
            "- a\n",
            1,
            "",
            "the file is not a mapping of keys to values; write server:, providers: and routes:",
        ),
        ("a: &x [*x]\n", 1, "", "this alias stands inside what it refers to; write the value itself"),
        (
            "a: 1\nsecret: *hunter2\n",
            2,
            "",
            "no anchor of this alias's name stands before it; write the value, in quotes if it begins with *",
        ),
        (
            "secret: !hunter2 x\n",
            1,
            "",
            "YAML tags (!something) are not read; write the value alone, in quotes if it begins with !",
        ),
        ("é: é\r\nb: \x07\n", 2, "", "there is a character that YAML does not allow in files; take it out"),
        ("a:\n  <<: 5\n", 2, "a", "<< is followed by something else than a mapping; write << : *anchor"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text, line, place, what):
    assert wrongs(text) == [(line, place, what)]


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: [1,\nb: {\n", 2), ("a: 'x\n", 1), ("\ta: 1", 1), ("a: b: c", 1), ("a: @x", 1), ("a: {", 1), ("a: [[b]", 1)],
)
def test_what_is_not_yaml_is_one_problem_with_a_line(text, line):
    [(found, place, what)] = wrongs(text)
    assert (found, place) == (line, "")
    assert "; write " in what or "; close it" in what


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a:\n  host: *.example.com\n", 2, '* begins an alias; write "*.example.com" in quotes'),
        ("a: [*]\n", 1, '* begins an alias; write "*" in quotes'),
        ("a: &\n", 1, "& begins an anchor; write the text in quotes"),
        ("listen: [::1]:8080\n", 1, '[ begins a list; write "[::1]:8080" in quotes'),
        ("a: @b\n", 1, "a text cannot begin with @; write it in quotes"),
        ('a: "\\d"\n', 1, "\\ begins an escape between double quotes; write single quotes"),
        ("a:\n\tb: 1\n", 2, "a tab stands where blanks belong; write blanks"),
        ("a:\n  b: 1\n\tc: 1\n", 3, "a tab stands where blanks belong; write blanks"),
        (
            "r:\n  - a: 1\n   - a: 2\n",
            3,
            "this line is indented by 3, and its list, which begins in line 2, by 2; indent it as its neighbours",
        ),
        (
            "s:\n    a: 1\n  b: 1\n",
            3,
            "this line is indented by 2, and its mapping, which begins in line 1, by 0; indent it as its neighbours",
        ),
        ("s:\n  a: 1\n   b: 1\n", 3, "this line is indented by 3, the one before by 2; indent both alike"),
        ('a: "x\nb: 1\nc: "y"\n', 1, "a quote begins here and does not end in its line; close it (line 3 ends it)"),
        ("a: 'x\nb: 1\n", 1, "the quote that begins here is never closed; close it"),
        (
            "a: 'it's'\n",
            1,
            "a text in quotes ends before its line does; write a quote inside it twice, or the other kind around it",
        ),
        ("a: 1\nb\nc: 2\n", 2, "this is not a key with a value; write key: value, with a blank behind the colon"),
        ("a:\n  b:80\n  c: 1\n", 2, "there is no blank behind the colon; write key: value"),
        ("a\nb:\n  c: 1\n", 1, "this is not a key with a value; write key: value, with a blank behind the colon"),
        ("a: b: c\n", 1, "there is a second colon in this line; write the text in quotes"),
        ("a: [b\nc: 1\n", 1, "the [ that begins here is not closed; write ]"),
        ("a: {b: c\nd: 1\n", 1, "the { that begins here is not closed; write }"),
        ("a: {% x %}\n", 1, TEMPLATE),
    ],
)
def test_what_is_not_yaml_is_told_where_it_begins_and_in_the_words_of_the_file(text, line, what):
    assert wrongs(text) == [(line, "", what)]


def test_a_template_is_told_once_and_nothing_follows_from_it():
    assert wrongs("a: {{ .Values.x }}\nb: 1\n") == [(1, "a", TEMPLATE)]
    assert wrongs("{{ if x }}\na: 1\n{{ end }}\n") == [(1, "", TEMPLATE), (1, "", TEMPLATE)]


def test_access_rules_of_oathkeeper_are_known():
    [(_, _, what)] = wrongs("- id: a\n  upstream: {url: http://a}\n  match: {url: http://b, methods: [GET]}\n")
    assert what == (
        "these look like Ory Oathkeeper's access rules; gateway import oathkeeper writes a configuration for them"
    )


def test_a_variable_in_a_flow_list_is_explained():
    [(line, _, what)] = wrongs("a: 1\nb: [${A}, c]\n")
    assert line == 2
    assert what.endswith('; inside [ ] and { } write a variable in quotes: "${NAME}"')


@pytest.mark.parametrize("path", ["match: {path: /a/{x}}", "match: {path: /{x}/b}", "- {rewrite: /a/{**}}"])
def test_a_capture_without_quotes_in_a_flow_mapping_is_explained(path):
    [(line, _, what)] = wrongs(f"a: 1\nb:\n  {path}\n")
    assert line == 3
    assert what.endswith('; inside [ ] and { } write a path with {name} in it in quotes: "/orders/{name}"')


def test_a_secret_that_looks_like_yaml_is_not_shown():
    for text in ("s: *hunter22", "s: !hunter22 x", "s: !a!hunter22 x", "s: &hunter22", "s: %hunter22", "s: @hunter22"):
        assert "hunter22" not in str(wrongs(text))


def test_a_billion_laughs_are_refused_at_once():
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    laughs += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    [(_, _, what)] = wrongs(laughs)
    assert what == "with its aliases the file has more than 2,000,000 values; write fewer"


def test_depth_is_bounded_with_and_without_aliases():
    for deep in ("[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000):
        assert wrongs("a:\n " + deep)[-1][2] == "this is nested deeper than 32 levels; write it flatter"
    chain = "a0: &a0 [[[[x]]]]\n" + "".join(f"a{i}: &a{i} [[[[*a{i - 1}]]]]\n" for i in range(1, 500))
    assert wrongs(chain)[-1][2] == "this is nested deeper than 32 levels; write it flatter"


def test_a_file_that_is_too_large_is_refused_unread():
    assert "larger than 16 MiB" in wrongs("#" * (yaml_reader.SOURCE_LIMIT_BYTES + 1))[0][2]


def test_half_a_surrogate_pair_never_becomes_a_value():
    assert wrongs("a: \ud800")
    assert wrongs('a: "\\ud800"')


PARTS = st.sampled_from(
    [
        "a",
        "b:",
        ": ",
        "- ",
        "\n",
        "  ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&x ",
        "*x ",
        "!t ",
        "'",
        '"',
        "<<: ",
        "${A}",
        "|",
        ">",
        "? ",
        "#",
        "---",
        "...",
        "%YAML",
        "~",
        "1",
        "yes",
        "\t",
        "\\",
        "@",
        "\x00",
        "é",
        "�",
    ]
)


@given(st.lists(PARTS, max_size=30).map("".join) | st.text(max_size=60))
def test_any_text_gives_a_tree_or_problems(text):
    root, problems = read_yaml(text)
    assert isinstance(root, Node) or problems
    assert all("; " in problem.what for problem in problems)


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(10**30), 10**30)
            | st.floats(allow_nan=False)
            | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
            max_leaves=12,
        ),
        min_size=1,
    )
)
def test_what_another_tool_writes_is_read_back(value):
    assert read(yaml.safe_dump(value, allow_unicode=True, sort_keys=False)) == value
