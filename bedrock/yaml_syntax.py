"""What a YAML parser complains about, in words that help the person who wrote the file.

They quote single characters of the file and no more: it may hold secrets, or answers that are confidential.
"""

import re
from dataclasses import dataclass

import yaml


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Line and column in a file, both from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class YamlProblem:
    """One thing wrong with a YAML text; no position where it concerns the file as a whole.

    `path` are keys and indexes from the top to the value it is about; empty where it is about none.
    """

    position: Position | None
    text: str
    path: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        return self.text if self.position is None else f"{self.position}: {self.text}"


#: What PyYAML says (a pattern), and what helps; {line} is where the thing began that it was reading.
_HELP = (
    (r"found character '\\t'", "a tab cannot indent YAML: use spaces"),
    (r"found character '(.)' that cannot start", "text that begins with {0} needs quotes"),
    (r"mapping values are not allowed", "no colon is expected here: check the indentation, or put the text in quotes"),
    (
        r"could not find expected ':'",
        "line {line} is no key with a value: write `key: value`, with the space",
    ),
    (r"expected <block end>", "the indentation does not fit that of line {line}, where this mapping or list begins"),
    (r"found unexpected end of stream", "the quote that opens in line {line} is never closed"),
    (r"expected ',' or '([\]}])'", "the bracket of line {line} is not closed with {0}, or a comma is missing"),
    (r"found undefined alias", "no anchor above has the name of this alias; text that begins with * needs quotes"),
    (r"found duplicate anchor", "the same anchor is defined twice"),
    (r"but found another document", "a second document begins here: give each a file of its own"),
    (r"expected the node content", "something is missing here, such as a value or a closing bracket"),
    (r"expected alphabetic or numeric", "a character such as & or * has no meaning here: put the text in quotes"),
)


def syntax_problem(error: yaml.YAMLError, text: str) -> YamlProblem:
    """Where the YAML of a text breaks off and what to do about it."""
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        position = Position(before.count("\n") + 1, len(before) - before.rfind("\n"))
        return YamlProblem(
            position, f"is not valid YAML: the character U+{ord(text[error.position]):04X} is not allowed"
        )
    mark, context = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or str(error)
    place = None if mark is None else Position(mark.line + 1, mark.column + 1)
    begun = context or mark
    return YamlProblem(place, f"is not valid YAML: {_helpful(said, begun.line + 1 if begun else 1)}")


def _helpful(said: str, line: int) -> str:
    for pattern, sentence in _HELP:
        match = re.search(pattern, said)
        if match is not None:
            return sentence.format(*match.groups(), line=line)
    return said
