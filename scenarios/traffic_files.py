"""YAML files that traffic is made of: found by name or path, read with the line and column of every fault."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bedrock.yaml_documents import KeyPath, YamlDocument, YamlError, format_path, read_yaml_file
from bedrock.yaml_syntax import Position
from scenarios.problems import Fault, ProblemsError, hint, kind, unknown_keys
from scenarios.shipped import file_names, looks_like_file
from scenarios.units import UnitError, parse_share

SCHEMA_VERSION = 1

#: Shares are kept as whole hundredths of a percent, so that they add up exactly.
WHOLE = 10_000

HEADER = ("schema_version", "description")

Shares = Mapping[str, int]


class TrafficError(ProblemsError):
    """A mix, a routing or conversations cannot be used; the text names every problem."""


def locate(name_or_path: str | Path, folder: Path, what: str) -> Path:
    """A name is looked up among the shipped files; anything that looks like a file is one."""
    path = Path(name_or_path)
    if str(name_or_path) in file_names(folder):
        return folder / f"{name_or_path}.yaml"
    if looks_like_file(name_or_path, Path()):
        return path
    problem = f"no {what} has that name and it is no path of a YAML file; {hint(name_or_path, file_names(folder))}"
    raise TrafficError(f"{str(name_or_path)!r} as a {what}", [problem])


def read_mapping(path: Path, what: str, keys: Sequence[str]) -> tuple[dict[Any, Any], "FileReader"]:
    """The file's mapping, and a reader that has already noted what is wrong with its keys."""
    try:
        document = read_yaml_file(path)
    except YamlError as error:
        problem = error.problem
        text = problem.text if problem.position else f"the file {problem.text}"
        raise TrafficError(f"{path} as a {what}", [Fault(text, str(path), problem.position)]) from error
    raw = document.values
    if not isinstance(raw, dict):
        text = f"the file must hold a mapping with {', '.join(keys[2:])}, not {kind(raw)}"
        raise TrafficError(f"{path} as a {what}", [text])
    reader = FileReader(path, what, document)
    reader.check_keys((), raw, keys)
    version = raw.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        reader.add(("schema_version",), f"schema_version is {version!r}, this program reads {SCHEMA_VERSION}")
    return raw, reader


class FileReader:
    """Reads the parts of one file and collects what is wrong with them, each with its line and column.

    Values are named by their path in the file.
    """

    def __init__(self, path: Path, what: str, document: YamlDocument) -> None:
        self._file = str(path)
        self._what = what
        self._document = document
        self.problems = [Fault(problem.text, self._file, problem.position) for problem in document.problems]

    def add(self, path: KeyPath, text: str) -> None:
        """Note a problem of the value at a path, or of what it is missing in."""
        if path not in self._document.spoiled:  # that was told already
            self.problems.append(Fault(text, self._file, self._document.position(path)))

    def check_keys(self, path: KeyPath, given: Mapping[Any, Any], known: Sequence[str]) -> None:
        """A problem for each key of the mapping at a path that is not known."""
        for key in given:
            for problem in unknown_keys(format_path(path), {key: None}, known):
                self.add((*path, str(key)), problem)

    def finish(self) -> None:
        """TrafficError if anything was wrong."""
        if self.problems:
            own = [problem for problem in self.problems if problem.file == self._file]
            others = [problem for problem in self.problems if problem.file != self._file]
            own.sort(key=lambda problem: problem.position or Position(1, 1))
            raise TrafficError(f"this {self._what}", [*others, *own])

    def description(self, raw: Mapping[Any, Any]) -> str | None:
        """The file's description; None where there is none."""
        value = raw.get("description")
        if value is not None and not isinstance(value, str):
            self.add(("description",), f"description must be text, not {kind(value)}")
        return value if isinstance(value, str) else None

    def shares(self, raw: Any, path: KeyPath, known: Sequence[str], *, required: bool = False) -> dict[str, int]:
        """Shares by name, which must be known and add up to 100 %; empty where not given or not usable."""
        where = format_path(path)
        if raw is None:
            if required:
                self.add(path, f"{where} is missing; give {', '.join(known[:-1])} and {known[-1]} their shares")
            return {}
        if not isinstance(raw, dict) or not raw:
            given = "an empty one" if raw == {} else kind(raw)
            self.add(path, f"{where} must be a mapping of {', '.join(known)} to shares, not {given}")
            return {}
        before = len(self.problems)
        self.check_keys(path, raw, known)
        shares = {str(name): self.share(value, (*path, str(name))) for name, value in raw.items()}
        if len(self.problems) == before:
            self.check_sum(path, f"the shares of {where}", shares.values())
        return shares

    def share(self, raw: Any, path: KeyPath) -> int:
        """Hundredths of a percent; 0 and a problem where it is no share."""
        where = format_path(path)
        if raw is None:
            self.add(path, f"{where} is missing; write a share like 25%")
            return 0
        try:
            exact = parse_share(raw) * WHOLE
        except UnitError as error:
            self.add(path, f"{where}: {error}")
            return 0
        if abs(exact - round(exact)) > 1e-6:
            self.add(path, f"{where} is {raw}; shares have at most two decimals of a percent")
        return round(exact)

    def check_sum(self, path: KeyPath, what: str, shares: Iterable[int]) -> None:
        """A problem where shares do not add up to the whole."""
        total = sum(shares)
        if total != WHOLE:
            self.add(path, f"{what} add up to {total / 100:g} %, not 100 %")

    def choice(self, raw: Any, path: KeyPath, known: Sequence[str]) -> str:
        """The word, or the first known one and a problem."""
        if raw is None:
            self.add(path, f"{format_path(path)} is missing; one of: {', '.join(known)}")
        elif raw not in known:
            self.add(path, f"{format_path(path)} is {raw!r}; {hint(raw, known)}")
        return str(raw) if raw in known else known[0]
