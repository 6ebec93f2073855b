"""How a file's faults are told to its author: all of them at once, each with what was probably meant."""

import difflib
from collections.abc import Iterable, Mapping, Sequence


class ProblemsError(ValueError):
    """A file that cannot be used. `problems` has one plain-language clause per fault."""

    def __init__(self, what: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        bullets = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(
            f"Cannot use {what}: {self.problems[0]}" if len(problems) == 1 else f"Cannot use {what}:{bullets}"
        )


def hint(word: object, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: the known word nearest to it, or all of them."""
    choices = {choice.lower(): choice for choice in known}
    close = difflib.get_close_matches(str(word).lower(), list(choices), n=1)
    return f"did you mean {choices[close[0]]!r}?" if close else f"known: {', '.join(choices.values())}"


def unknown_keys(where: str, given: Mapping[object, object], known: Sequence[str]) -> list[str]:
    """A problem for each key that a reader of the file would otherwise silently ignore."""
    place = f" in {where}" if where else ""
    return [f"unknown key {str(key)!r}{place}; {hint(key, known)}" for key in given if key not in known]


def kind(value: object) -> str:
    """What a decoded JSON or YAML value is called by the people who write such files."""
    names: dict[type, str] = {
        dict: "a mapping",
        list: "a list",
        str: "text",
        bool: "true or false",
        type(None): "nothing",
    }
    return names.get(type(value), "a number")
