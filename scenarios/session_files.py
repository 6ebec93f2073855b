"""Reading conversations from YAML files (docs/sessions.md); all problems of a file are told at once."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bedrock.yaml_documents import KeyPath, format_path
from scenarios.problems import hint, kind
from scenarios.prompts import LANGUAGES
from scenarios.sessions import Intent, SessionModel
from scenarios.shipped import absolute, looks_like_file
from scenarios.traffic import Mix, load_mix
from scenarios.traffic_files import HEADER, WHOLE, FileReader, Shares, TrafficError, locate, read_mapping
from scenarios.units import UnitError, parse_duration_range_s

CONVERSATIONS = Path(__file__).parent / "conversations"

#: A customer who asks more often than this for the same thing is a program.
MAX_REPEATS = 10

_KEYS = (*HEADER, "mix", "languages", "think_time", "repeats_after_failure", "intents")
_INTENT_KEYS = ("first", "query_types", "next", "think_time")


def absolute_sessions(name_or_path: str, folder: Path) -> str:
    """The name of shipped conversations as it is; a file's path absolute, starting at `folder`."""
    return absolute(name_or_path, CONVERSATIONS, folder)


def load_sessions(name_or_path: str | Path) -> SessionModel:
    """The conversations of a name or a YAML file; TrafficError with all its problems."""
    path = locate(name_or_path, CONVERSATIONS, "conversation file")
    raw, file = read_mapping(path, "conversation file", _KEYS)
    reader = _Reader(file)
    mix = reader.mix(raw.get("mix", "mangaassist"), path.parent)
    languages = file.shares(raw.get("languages"), ("languages",), LANGUAGES, required=True)
    think_time_s = reader.think_time_s(raw.get("think_time"), ("think_time",))
    intents = reader.intents(raw.get("intents"), mix, think_time_s)
    repeats = reader.repeats(raw.get("repeats_after_failure", 0))
    description = file.description(raw)
    file.finish()
    return SessionModel(path.stem, description, mix, languages, intents, repeats)


class _Reader:
    """Reads the parts of one file that only conversations have."""

    def __init__(self, file: FileReader) -> None:
        self._file = file

    def mix(self, raw: Any, folder: Path) -> Mix:
        """The mix whose query types the intents stand for: of a name, or of a file beside this one."""
        given = raw if isinstance(raw, str) else "mangaassist"
        if given is not raw:
            self._file.add(("mix",), f"mix must be the name or the file of a mix, not {kind(raw)}")
        is_file = looks_like_file(given, folder) and Path(given).suffix in (".yaml", ".yml")
        try:
            return load_mix(folder / given if is_file else given)
        except TrafficError as error:
            if any(fault.position for fault in error.faults):
                self._file.problems += error.faults
            else:
                self._file.add(("mix",), f"mix: {error}")
            return Mix(given, None, ())

    def think_time_s(self, raw: Any, path: KeyPath) -> tuple[float, float]:
        where = format_path(path)
        if raw is None:
            self._file.add(path, f"{where} is missing; write a range like 4s-12s")
            return 0.0, 0.0
        try:
            return parse_duration_range_s(raw)
        except UnitError as error:
            self._file.add(path, f"{where}: {error}")
            return 0.0, 0.0

    def repeats(self, raw: Any) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int) or not 0 <= raw <= MAX_REPEATS:
            text = f"repeats_after_failure is {raw!r}; it must be a whole number up to {MAX_REPEATS}"
            self._file.add(("repeats_after_failure",), text)
            return 0
        return raw

    def intents(self, raw: Any, mix: Mix, think_time_s: tuple[float, float]) -> tuple[Intent, ...]:
        path = ("intents",)
        if not isinstance(raw, dict) or not raw:
            self._file.add(path, "intents must be a mapping of at least one intent to its query types and next")
            return ()
        before = len(self._file.problems)
        entries = {str(name): entry for name, entry in raw.items()}
        intents = tuple(self._intent(name, entry, tuple(entries), mix, think_time_s) for name, entry in entries.items())
        if len(self._file.problems) == before:
            self._file.check_sum(path, "the shares `first` of intents", [intent.first for intent in intents])
            self._check_ends(intents)
        return intents

    def _intent(
        self, name: str, raw: Any, names: tuple[str, ...], mix: Mix, think_time_s: tuple[float, float]
    ) -> Intent:
        path = ("intents", name)
        if not isinstance(raw, dict):
            keys = ", ".join(_INTENT_KEYS[:3])
            self._file.add(path, f"{format_path(path)} must be a mapping with {keys}, not {kind(raw)}")
            return Intent(name, 0, {}, {}, think_time_s)
        self._file.check_keys(path, raw, _INTENT_KEYS)
        own = raw.get("think_time")
        asked = [query_type.name for query_type in mix.query_types if query_type.share]
        return Intent(
            name=name,
            first=self._file.share(raw.get("first"), (*path, "first")),
            query_types=self._file.shares(raw.get("query_types"), (*path, "query_types"), asked, required=True)
            if asked
            else {},
            following=self._following(raw.get("next", {}), (*path, "next"), names),
            think_time_s=think_time_s if own is None else self.think_time_s(own, (*path, "think_time")),
        )

    def _following(self, raw: Any, path: KeyPath, names: tuple[str, ...]) -> Shares:
        """Probabilities of the intents that follow, which may leave some for the end; an intent may have none."""
        where = format_path(path)
        if not isinstance(raw, dict):
            self._file.add(path, f"{where} must be a mapping of intents to probabilities, not {kind(raw)}")
            return {}
        for name in (str(name) for name in raw if str(name) not in names):
            self._file.add((*path, name), f"{where} names no intent {name!r}; {hint(name, names)}")
        shares = {str(name): self._file.share(value, (*path, str(name))) for name, value in raw.items()}
        total = sum(shares.values())
        if total > WHOLE:
            self._file.add(path, f"the probabilities of {where} add up to {total / 100:g} %, more than 100 %")
        return shares

    def _check_ends(self, intents: Iterable[Intent]) -> None:
        """A problem where a conversation that can come somewhere can never end: its mean length is infinite."""
        trapped = _trapped(intents)
        if trapped:
            names = " or ".join(trapped)
            text = f"a conversation that comes to {names} never ends; let `next` leave some probability for it"
            self._file.add(("intents", trapped[0], "next"), text)


def _trapped(intents: Iterable[Intent]) -> list[str]:
    """Intents that a conversation can come to and from which it can never end."""
    by_name = {intent.name: intent for intent in intents}
    ending = {name for name, intent in by_name.items() if sum(intent.following.values()) < WHOLE}
    reached = {name for name, intent in by_name.items() if intent.first}
    ending = _closure(ending, {name: _sources(name, by_name) for name in by_name})
    reached = _closure(reached, {name: _targets(intent) for name, intent in by_name.items()})
    return [name for name in by_name if name in reached - ending]


def _targets(intent: Intent) -> set[str]:
    return {name for name, share in intent.following.items() if share}


def _sources(target: str, by_name: Mapping[str, Intent]) -> set[str]:
    return {name for name, intent in by_name.items() if intent.following.get(target)}


def _closure(begun: set[str], steps: Mapping[str, set[str]]) -> set[str]:
    """All that can be reached from some names by any number of steps."""
    found, new = set(begun), set(begun)
    while new:
        new = set().union(*(steps[name] for name in new)) - found
        found |= new
    return found
