"""YAML files with positions: what is read, and what people slip on."""

import contextlib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bedrock.yaml_documents import MAX_BYTES, YamlError, read_yaml, read_yaml_file
from bedrock.yaml_syntax import Position


def problems_of(text: str) -> list[str]:
    return [str(problem) for problem in read_yaml(text).problems]


def error_of(text: str) -> str:
    with pytest.raises(YamlError) as caught:
        read_yaml(text)
    return str(caught.value)


def test_values_know_their_line_and_column():
    document = read_yaml("load:\n  rate: 5/s\n  tiers: [default, flex]\n")

    assert document.values == {"load": {"rate": "5/s", "tiers": ["default", "flex"]}}
    assert document.position(("load", "rate")) == Position(2, 3)
    assert document.position(("load", "tiers", 1)) == Position(3, 20)
    assert document.position(("load", "nothing", "here")) == Position(1, 1), "that of the innermost thing there is"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:\n\tb: 1\n", "2:1: is not valid YAML: a tab cannot indent YAML"),
        ("a: b: c\n", "1:5: is not valid YAML: no colon is expected here"),
        ("a: 1\nb\nc: 2\n", "3:1: is not valid YAML: line 2 is no key with a value"),
        ("a:\n  - 1\n b: 2\n", "3:2: is not valid YAML: the indentation does not fit that of line 1"),
        ("x: 1\na: 'x\n", "3:1: is not valid YAML: the quote that opens in line 2 is never closed"),
        ("a: {x: 1\nb: 2", "2:2: is not valid YAML: the bracket of line 1 is not closed with }"),
        ("a: *x\n", "1:4: is not valid YAML: no anchor above has the name of this alias"),
        ("a: &x 1\nb: & 2\n", "2:5: is not valid YAML: a character such as & or * has no meaning here"),
        ("a: @x\n", "1:4: is not valid YAML: text that begins with @ needs quotes"),
        ("a: 1\n---\nb: 2\n", "2:1: is not valid YAML: a second document begins here"),
        ("a: 1\nb: \x07\n", "2:4: is not valid YAML: the character U+0007 is not allowed"),
        ('a: "\\q"', "1:6: is not valid YAML: found unknown escape character"),
        ("[" * 5000, "is nested too deeply"),
    ],
)
def test_where_yaml_breaks_off_and_what_helps(text, said):
    assert error_of(text).startswith(said)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("on", "YAML reads this as true: write true; text needs quotes"),
        ("No", "YAML reads this as false: write false"),
        ("1:30", "YAML reads this as a number in base 60: write a duration with units, like 1m30s"),
        ("1:30.5", "YAML reads this as a number in base 60"),
        ("010", "YAML reads a number that begins with 0 as octal"),
        ("2024-13-45", "YAML reads this as a date"),
        ("9" * 5000, "is no number that can be read"),
        ("!!int x", "is no number that can be read"),
        ("!!python/name:os.system", "tags, which begin with an exclamation mark, are not supported"),
        ("!!set {x}", "tags, which begin with an exclamation mark"),
    ],
)
def test_a_value_that_yaml_reads_as_something_else_is_a_problem(value, said):
    document = read_yaml(f"b: 1\na: {value}\n")

    (problem,) = document.problems
    assert str(problem).startswith(f"2:4: {said}")
    assert document.spoiled == {("a",)}
    assert read_yaml(f'a: "{value}"').problems == (), "in quotes it is what it looks like"


@pytest.mark.parametrize("value", ["true", "False", "0", "-5", "0.5", "1e3", "null", "~", "0x10", "12/s", "08"])
def test_plain_values_are_what_yaml_says(value):
    document = read_yaml(f"a: {value}")

    assert document.problems == ()
    assert document.values == yaml.safe_load(f"a: {value}")


@pytest.mark.parametrize("secret", ["01234567", "!hunter2", "!!hunter2", "20:26"])
def test_a_trap_is_told_without_the_value_which_may_be_a_secret(secret):
    (problem,) = read_yaml(f"secret: {secret}").problems

    assert secret.strip("!") not in str(problem)


@pytest.mark.parametrize("text", ["*hunter2", "@hunter2", "'hunter2", "[hunter2", "x: hunter2: y", "hunter2\n z: 3"])
def test_a_syntax_error_is_told_without_the_text(text):
    assert "hunter2" not in error_of(f"secret: {text}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1: x", "1:1: the key 1 is not text: YAML reads it as a number; put it in quotes"),
        ("a: 1\non: x", "2:1: the key on is not text: YAML reads it as true or false; put it in quotes"),
        ("? [a]\n: 1\n", "1:3: a list or a mapping cannot be a key"),
        ("a: {b: 1, b: 2}", "1:11: the key b is already given in line 1"),
        ("a: {<<: 5}", "1:9: `<<` takes in a mapping or a list of mappings, like `<<: *base`"),
        ("a: &a {b: *a}", "1:4: an anchor contains itself"),
    ],
)
def test_keys_and_anchors_that_cannot_be_used(text, said):
    assert problems_of(text) == [said]


def test_merge_keys_take_in_what_the_mapping_does_not_say_itself():
    document = read_yaml("b: &b {x: 1, y: {z: 2}}\nc:\n  <<: [*b, {x: 2, q: 3}]\n  y: 3\n")

    assert document.values["c"] == {"x": 1, "y": 3, "q": 3}
    assert document.position(("c", "x")) == Position(1, 8)
    assert document.position(("c", "y", "z")) == Position(4, 3)


@pytest.mark.parametrize("more", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_that_multiply_are_refused(more):
    lines = ["a: &a {k: 1}"]
    for above, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} {more.format(','.join([f'*{above}'] * 10))}")

    assert "aliases of aliases multiply" in error_of("\n".join(lines))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"#" * (MAX_BYTES + 1), "is larger than 1,000 kB"),
        (b"a: \xff", "cannot be read: it is not UTF-8 text (byte 3)"),
    ],
)
def test_files_that_are_no_configuration(tmp_path, content, said):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(YamlError) as caught:
        read_yaml_file(path)

    assert str(caught.value).startswith(said)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("\ufeffa: 1\n", encoding="utf-8")

    assert read_yaml_file(path).values == {"a": 1}


@given(st.text(alphabet="ab: -{}[]&*!'\"\n#<?|>,1", max_size=40))
def test_any_text_is_read_or_refused_with_a_sentence(text):
    with contextlib.suppress(YamlError):
        read_yaml(text)


@given(
    st.recursive(
        st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    )
)
def test_what_was_written_is_read_back_and_every_value_has_a_position(values):
    document = read_yaml(yaml.safe_dump({"root": values}))

    assert document.values == {"root": values}
    assert document.problems == ()
    paths = [("root",)]
    for path in paths:
        assert path in document.positions
        inner = document.values
        for key in path:
            inner = inner[key]
        keys = inner if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else ()
        paths += [(*path, key) for key in keys]
