"""How a file's faults are told to its author: all of them at once, each with what was probably meant."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bedrock.yaml_syntax import Position


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a file, in one plain-language clause; `file` and `position` where it is known which line."""

    text: str
    file: str | None = None
    position: Position | None = None

    def __str__(self) -> str:
        return self.text if self.position is None else f"{self.file}:{self.position}: {self.text}"


class ProblemsError(ValueError):
    """A file that cannot be used. `problems` has one plain-language clause per fault, `faults` where each stands."""

    def __init__(self, what: str, problems: Sequence[str | Fault]) -> None:
        self.faults = tuple(Fault(problem) if isinstance(problem, str) else problem for problem in problems)
        self.problems = tuple(fault.text for fault in self.faults)
        bullets = "".join(f"\n  - {fault}" for fault in self.faults)
        super().__init__(
            f"Cannot use {what}: {self.faults[0]}" if len(problems) == 1 else f"Cannot use {what}:{bullets}"
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
