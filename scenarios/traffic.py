"""Which message comes next: the mix of query types, the routing of its two roles to models, and the samplers.

A sampler's message is a pure function of seed and index: every process, a plan and a repeated run see the same
messages, and message 7 is the same whether or not messages 0 to 6 were asked for. docs/traffic.md describes the files.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bedrock.catalog import Catalog, UnknownModelError, default_catalog, split_model_id
from bedrock.outcome import mask_accounts
from bedrock.yaml_documents import YamlError, read_yaml_file
from bedrock.yaml_syntax import YamlProblem
from scenarios.decks import Deck
from scenarios.problems import ProblemsError, hint, kind, unknown_keys
from scenarios.prompts import COMPLEXITIES, LANGUAGES, SIZES, Prompt, PromptLibrary
from scenarios.shipped import absolute, file_names, looks_like_file
from scenarios.units import UnitError, parse_share

MIXES = Path(__file__).parent / "mixes"
ROUTINGS = Path(__file__).parent / "routings"

#: What a mix routes to and a routing names a model for. product.md's haiku route is `simple`, its sonnet `complex`.
ROLES = ("simple", "complex")

SCHEMA_VERSION = 1

#: Shares are kept as whole hundredths of a percent, so that they add up exactly.
WHOLE = 10_000

#: Messages within which the order of query types is random; from block to block they are spread evenly.
MIX_BLOCK = 20

#: The same for sizes, languages and complexities within a query type: smaller, because a rare type is drawn rarely.
DETAIL_BLOCK = 10

HEADER = ("schema_version", "description")
_MIX_KEYS = (*HEADER, "query_types", "prompt_sizes", "languages")
_TYPE_KEYS = ("share", "complexity", "complex_share", "route", "route_when_complex", "prompt_sizes", "languages")

Role = Literal["simple", "complex"]
Shares = Mapping[str, int]


class TrafficError(ProblemsError):
    """A mix or a routing cannot be used; the text names every problem."""


@dataclass(frozen=True, slots=True)
class QueryType:
    """One kind of message. Shares are hundredths of a percent; those of sizes and languages are within the type.

    `complex_share` is the part of its messages that are complex: 0 or WHOLE, or between for a mixed type.
    `languages` is empty where the mix does not care.
    """

    name: str
    share: int
    complexity: str
    complex_share: int
    route: Role
    route_when_complex: Role
    prompt_sizes: Shares
    languages: Shares

    def role(self, complexity: str | None) -> Role:
        """The role that answers a message of this type and complexity."""
        return self.route_when_complex if complexity == "complex" else self.route


@dataclass(frozen=True, slots=True)
class Mix:
    """Query types whose shares add up to WHOLE."""

    name: str
    description: str | None
    query_types: tuple[QueryType, ...]

    def shares(self) -> dict[str, float]:
        """Share of messages by query type, as fractions of 1."""
        return {query_type.name: query_type.share / WHOLE for query_type in self.query_types}


@dataclass(frozen=True, slots=True)
class Routing:
    """Which model, by base id, answers each role."""

    name: str
    description: str | None
    simple: str
    complex: str

    def model_id(self, role: Role) -> str:
        """Base model id of a role."""
        return self.complex if role == "complex" else self.simple

    @classmethod
    def single(cls, model_id: str) -> "Routing":
        """One model for both roles, named like the model."""
        return cls(model_id, None, model_id, model_id)


@dataclass(frozen=True, slots=True)
class Message:
    """One message to send. `model_id` is the base id; None is what the prompt's file does not say.

    `max_tokens` None is the test's own.
    """

    message_id: str
    query_type: str | None
    complexity: str | None
    language: str | None
    prompt_size: str
    prompt_id: str
    text: str
    model_id: str
    max_tokens: int | None = None

    @property
    def history_tokens(self) -> float:
        """It is not known here what was said before; in the plan's eyes, nothing."""
        return 0.0


class MessageSampler:
    """Messages of a mix, routed, with prompts of one size or (None) of the mix's own sizes.

    Query types are dealt evenly and shuffled in blocks of MIX_BLOCK messages: shares of whole percents are exact in
    every hundred. Then, within a type, sizes, languages and complexities in blocks of DETAIL_BLOCK; last, the prompts
    that fit, each once before one comes again. Where the library has no prompt of a language or complexity, the others
    take its share; a size it does not have is an error (PromptFileError).
    """

    def __init__(self, mix: Mix, routing: Routing, library: PromptLibrary, size: str | None, seed: int) -> None:
        types = [query_type for query_type in mix.query_types if query_type.share]
        self._branches = {
            query_type.name: _Branch(query_type, routing, library).by_size(size, f"{seed}/{query_type.name}")
            for query_type in types
        }
        branches = list(self._branches.values())
        self._top = _Choice([query_type.share for query_type in types], branches, MIX_BLOCK, f"{seed}")
        self._types = {query_type.name: query_type for query_type in types}
        self._routing = routing
        self.routing = routing.name

    @property
    def query_types(self) -> tuple[str, ...]:
        """Query types that the mix sends."""
        return tuple(self._types)

    def message(self, index: int) -> Message:
        """The message with this number, counted from 0."""
        return self._top.leaf(index).message(index)

    def message_of_type(self, query_type: str, index: int) -> Message:
        """A message of a query type of the mix; the same for the same number."""
        return self._branches[query_type].leaf(index).message(index)

    def model_for(self, query_type: str | None, complexity: str | None) -> str:
        """Base id of the model that answers a query type of the mix."""
        return self._routing.model_id(self._types[query_type or ""].role(complexity))


class SinglePromptSampler:
    """Messages of one prompt size (None: all sizes) to one model, cycling over the library's default entries."""

    #: Any query type can be asked for: where the library has no prompts for it, the default entries serve it.
    query_types: tuple[str, ...] | None = None

    def __init__(self, library: PromptLibrary, size: str | None, seed: int, model_id: str) -> None:
        self._pools: dict[str | None, _Choice] = {}
        self._library, self._size, self._seed = library, size, seed
        self.model_id = model_id
        self._pool(None)

    def message(self, index: int) -> Message:
        """The message with this number, counted from 0."""
        return self._pool(None).leaf(index).message(index)

    def message_of_type(self, query_type: str, index: int) -> Message:
        """A message of a query type; the same for the same number."""
        return self._pool(query_type).leaf(index).message(index)

    def model_for(self, _query_type: str | None, _complexity: str | None) -> str:
        """Base id of the one model."""
        return self.model_id

    def _pool(self, query_type: str | None) -> "_Choice":
        if query_type not in self._pools:
            prompts = self._library.select(self._size, query_type)
            leaves = [_Leaf(query_type or each.query_type, each.complexity, each, self.model_id) for each in prompts]
            seed = f"{self._seed}" if query_type is None else f"{self._seed}/{query_type}"
            self._pools[query_type] = _evenly(leaves, seed)
        return self._pools[query_type]


def mix_names() -> tuple[str, ...]:
    """Names of the mixes that ship with the project."""
    return file_names(MIXES)


def routing_names() -> tuple[str, ...]:
    """Names of the routings that ship with the project."""
    return file_names(ROUTINGS)


def absolute_routing(name_or_path: str, folder: Path) -> str:
    """The name of a routing that ships with the project as it is; a file's path absolute, starting at `folder`."""
    return absolute(name_or_path, ROUTINGS, folder)


def load_mix(name_or_path: str | Path) -> Mix:
    """The mix of a name or a YAML file; TrafficError with all its problems."""
    path = locate(name_or_path, MIXES, "mix")
    raw, reader = read_mapping(path, "mix", _MIX_KEYS)
    sizes = reader.shares(raw.get("prompt_sizes"), "prompt_sizes", SIZES, required=True)
    languages = reader.shares(raw.get("languages"), "languages", LANGUAGES)
    query_types = reader.query_types(raw.get("query_types"), sizes, languages)
    description = reader.description(raw)
    reader.finish()
    return Mix(path.stem, description, query_types)


def load_routing(name_or_path: str | Path, catalog: Catalog | None = None) -> Routing:
    """The routing of a name or a YAML file, its models looked up in the catalogue; TrafficError with all problems."""
    path = locate(name_or_path, ROUTINGS, "routing")
    raw, reader = read_mapping(path, "routing", (*HEADER, *ROLES))
    simple, complex_ = (reader.model(raw.get(role), role, catalog or default_catalog()) for role in ROLES)
    description = reader.description(raw)
    reader.finish()
    return Routing(path.stem, description, simple, complex_)


# Choosing a message: a tree of decks, query type at the top, prompts at the leaves.


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A message but for its number."""

    query_type: str | None
    complexity: str | None
    prompt: Prompt
    model_id: str

    def message(self, index: int) -> Message:
        prompt = self.prompt
        return Message(
            message_id=str(index),
            query_type=self.query_type,
            complexity=self.complexity,
            language=prompt.language,
            prompt_size=prompt.size,
            prompt_id=prompt.id,
            text=prompt.text,
            model_id=self.model_id,
        )


class _Choice:
    """A deck over choices or leaves below it; how often one of them was chosen before is its own draw number."""

    def __init__(self, weights: Sequence[int], below: Sequence["_Choice | _Leaf"], block: int, seed: str) -> None:
        self._below = tuple(below)
        self._deck = Deck(weights, block, seed)

    def leaf(self, number: int) -> _Leaf:
        """What the draw of this number leads to."""
        draw = self._deck.draw(number)
        chosen = self._below[draw.item]
        return chosen if isinstance(chosen, _Leaf) else chosen.leaf(draw.ordinal)


def _detail(weights: Sequence[int], below: Sequence[_Choice], seed: str) -> _Choice:
    """A choice within a query type; where there is nothing to choose, the one below takes its place."""
    return below[0] if len(below) == 1 else _Choice(weights, below, DETAIL_BLOCK, seed)


def _evenly(leaves: Sequence[_Leaf], seed: str) -> _Choice:
    return _Choice([1] * len(leaves), leaves, len(leaves), seed)


@dataclass(frozen=True, slots=True)
class _Branch:
    """Builds the part of the tree below one query type: size, language, complexity, prompt."""

    query_type: QueryType
    routing: Routing
    library: PromptLibrary

    def by_size(self, size: str | None, seed: str) -> _Choice:
        """`size` None: the mix's own sizes."""
        shares = self.query_type.prompt_sizes if size is None else {size: WHOLE}
        sizes = {name: share for name, share in shares.items() if share}
        pools = [(name, self.library.select(name, self.query_type.name)) for name in sizes]
        below = [self._by_language(pool, f"{seed}/{name}") for name, pool in pools]
        return _detail(list(sizes.values()), below, seed)

    def _by_language(self, pool: Sequence[Prompt], seed: str) -> _Choice:
        parts = _split(pool, self.query_type.languages, "language")
        below = [self._by_complexity(prompts, f"{seed}/{language}") for language, _, prompts in parts]
        return _detail([weight for _, weight, _ in parts], below, seed)

    def _by_complexity(self, pool: Sequence[Prompt], seed: str) -> _Choice:
        complex_share = self.query_type.complex_share
        parts = _split(pool, {"simple": WHOLE - complex_share, "complex": complex_share}, "complexity")
        below = [self._prompts(prompts, drawn, f"{seed}/{drawn}") for drawn, _, prompts in parts]
        return _detail([weight for _, weight, _ in parts], below, seed)

    def _prompts(self, pool: Sequence[Prompt], drawn: str | None, seed: str) -> _Choice:
        """A prompt that does not say how complex it is counts as what was drawn."""
        return _evenly([self._leaf(prompt, prompt.complexity or drawn) for prompt in pool], seed)

    def _leaf(self, prompt: Prompt, complexity: str | None) -> _Leaf:
        model_id = self.routing.model_id(self.query_type.role(complexity))
        return _Leaf(self.query_type.name, complexity, prompt, model_id)


def _split(pool: Sequence[Prompt], shares: Shares, attribute: str) -> list[tuple[str | None, int, tuple[Prompt, ...]]]:
    """(value, weight, prompts) for each value of the attribute that has a share and a prompt; else the whole pool."""
    parts = [
        (value, weight, tuple(prompt for prompt in pool if getattr(prompt, attribute) in (value, None)))
        for value, weight in shares.items()
        if weight
    ]
    return [part for part in parts if part[2]] or [(None, 1, tuple(pool))]


# Reading the files.


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
    title = f"{path} as a {what}"
    try:
        document = read_yaml_file(path)
    except YamlError as error:
        raise TrafficError(title, [_in_the_file(error.problem)]) from error
    raw = document.values
    if not isinstance(raw, dict):
        raise TrafficError(title, [f"the file must hold a mapping with {', '.join(keys[2:])}, not {kind(raw)}"])
    reader = FileReader(title)
    reader.problems += map(_in_the_file, document.problems)
    reader.problems += unknown_keys("", raw, keys)
    if raw.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
        reader.problems.append(f"schema_version is {raw['schema_version']!r}, this program reads {SCHEMA_VERSION}")
    return raw, reader


def _in_the_file(problem: YamlProblem) -> str:
    """`line 3, column 5: the key share is already given in line 2`."""
    place = problem.position
    return f"line {place.line}, column {place.column}: {problem.text}" if place else f"the file {problem.text}"


class FileReader:
    """Reads the parts of one file and collects what is wrong with them."""

    def __init__(self, title: str) -> None:
        self._title = title
        self.problems: list[str] = []

    def finish(self) -> None:
        """TrafficError if anything was wrong."""
        if self.problems:
            raise TrafficError(self._title, self.problems)

    def description(self, raw: Mapping[Any, Any]) -> str | None:
        """The file's description; None where there is none."""
        value = raw.get("description")
        if value is not None and not isinstance(value, str):
            self.problems.append(f"description must be text, not {kind(value)}")
        return value if isinstance(value, str) else None

    def query_types(self, raw: Any, sizes: Shares, languages: Shares) -> tuple[QueryType, ...]:
        """The query types of a mix; `sizes` and `languages` are those of types without their own."""
        if not isinstance(raw, dict) or not raw:
            self.problems.append("query_types must be a mapping of at least one query type to its share and route")
            return ()
        before = len(self.problems)
        read = [self._query_type(str(name), entry, sizes, languages) for name, entry in raw.items()]
        query_types = tuple(query_type for query_type in read if query_type is not None)
        if len(self.problems) == before:
            self.check_sum("the shares of query_types", [query_type.share for query_type in query_types])
        return query_types

    def _query_type(self, name: str, raw: Any, sizes: Shares, languages: Shares) -> QueryType | None:
        where = f"query_types.{name}"
        if not isinstance(raw, dict):
            self.problems.append(
                f"{where} must be a mapping with {', '.join(_TYPE_KEYS[:2])} and route, not {kind(raw)}"
            )
            return None
        self.problems += unknown_keys(where, raw, _TYPE_KEYS)
        complexity = self._choice(raw.get("complexity"), f"{where}.complexity", (*COMPLEXITIES, "mixed"))
        route = self._role(raw.get("route"), f"{where}.route")
        return QueryType(
            name=name,
            share=self.share(raw.get("share"), f"{where}.share"),
            complexity=complexity,
            complex_share=self._complex_share(raw.get("complex_share"), where, complexity),
            route=route,
            route_when_complex=self._role(raw.get("route_when_complex", route), f"{where}.route_when_complex"),
            prompt_sizes=self.shares(raw.get("prompt_sizes"), f"{where}.prompt_sizes", SIZES) or sizes,
            languages=self.shares(raw.get("languages"), f"{where}.languages", LANGUAGES) or languages,
        )

    def shares(self, raw: Any, where: str, known: Sequence[str], *, required: bool = False) -> dict[str, int]:
        """Shares by name, which must be known and add up to 100 %; empty where not given or not usable."""
        if raw is None:
            if required:
                self.problems.append(f"{where} is missing; give {', '.join(known[:-1])} and {known[-1]} their shares")
            return {}
        if not isinstance(raw, dict) or not raw:
            given = "an empty one" if raw == {} else kind(raw)
            self.problems.append(f"{where} must be a mapping of {', '.join(known)} to shares, not {given}")
            return {}
        before = len(self.problems)
        self.problems += unknown_keys(where, raw, known)
        shares = {str(name): self.share(value, f"{where}.{name}") for name, value in raw.items()}
        if len(self.problems) == before:
            self.check_sum(f"the shares of {where}", shares.values())
        return shares

    def _complex_share(self, raw: Any, where: str, complexity: str) -> int:
        if complexity == "mixed":
            return self.share(raw, f"{where}.complex_share")
        if raw is not None:
            self.problems.append(f"{where}.complex_share only makes sense with complexity: mixed")
        return WHOLE if complexity == "complex" else 0

    def share(self, raw: Any, where: str) -> int:
        """Hundredths of a percent; 0 and a problem where it is no share."""
        if raw is None:
            self.problems.append(f"{where} is missing; write a share like 25%")
            return 0
        try:
            exact = parse_share(raw) * WHOLE
        except UnitError as error:
            self.problems.append(f"{where}: {error}")
            return 0
        if abs(exact - round(exact)) > 1e-6:
            self.problems.append(f"{where} is {raw}; shares have at most two decimals of a percent")
        return round(exact)

    def check_sum(self, what: str, shares: Iterable[int]) -> None:
        """A problem where shares do not add up to the whole."""
        total = sum(shares)
        if total != WHOLE:
            self.problems.append(f"{what} add up to {total / 100:g} %, not 100 %")

    def _role(self, raw: Any, where: str) -> Role:
        return "complex" if self._choice(raw, where, ROLES) == "complex" else "simple"

    def _choice(self, raw: Any, where: str, known: Sequence[str]) -> str:
        """The word, or the first known one and a problem."""
        if raw is None:
            self.problems.append(f"{where} is missing; one of: {', '.join(known)}")
        elif raw not in known:
            self.problems.append(f"{where} is {raw!r}; {hint(raw, known)}")
        return str(raw) if raw in known else known[0]

    def model(self, raw: Any, role: str, catalog: Catalog) -> str:
        """A base model id of the catalogue; the profile prefix is the region prefix's business."""
        if not isinstance(raw, str):
            given = "is missing" if raw is None else f"must be text, not {kind(raw)}"
            self.problems.append(f"{role} {given}; give the base id of the model that answers {role} messages")
            return ""
        base = split_model_id(raw).base
        try:
            model_id = catalog.resolve_chat(raw).id
        except UnknownModelError as error:
            self.problems.append(f"{role}: {error}")
            return ""
        if base != raw:
            given = mask_accounts(raw)
            self.problems.append(f"{role} is {given!r}; write the base id {base!r}, the prefix is a region prefix")
        return model_id
