"""Which message comes next: the mix of query types, the routing of its two roles to models, and the samplers.

A sampler's message is a pure function of seed and index: every process, a plan and a repeated run see the same
messages, and message 7 is the same whether or not messages 0 to 6 were asked for. docs/traffic.md describes the files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bedrock.catalog import Catalog, UnknownModelError, default_catalog, split_model_id
from bedrock.outcome import mask_accounts
from bedrock.yaml_documents import KeyPath, format_path
from scenarios.decks import Deck
from scenarios.problems import kind
from scenarios.prompts import COMPLEXITIES, LANGUAGES, SIZES, Prompt, PromptLibrary
from scenarios.shipped import absolute, file_names
from scenarios.traffic_files import HEADER, WHOLE, FileReader, Shares, locate, read_mapping

MIXES = Path(__file__).parent / "mixes"
ROUTINGS = Path(__file__).parent / "routings"

#: What a mix routes to and a routing names a model for. product.md's haiku route is `simple`, its sonnet `complex`.
ROLES = ("simple", "complex")

#: Messages within which the order of query types is random; from block to block they are spread evenly.
MIX_BLOCK = 20

#: The same for sizes, languages and complexities within a query type: smaller, because a rare type is drawn rarely.
DETAIL_BLOCK = 10

_MIX_KEYS = (*HEADER, "query_types", "prompt_sizes", "languages")
_TYPE_KEYS = ("share", "complexity", "complex_share", "route", "route_when_complex", "prompt_sizes", "languages")

Role = Literal["simple", "complex"]


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


def routing_names() -> tuple[str, ...]:
    """Names of the routings that ship with the project."""
    return file_names(ROUTINGS)


def absolute_routing(name_or_path: str, folder: Path) -> str:
    """The name of a routing that ships with the project as it is; a file's path absolute, starting at `folder`."""
    return absolute(name_or_path, ROUTINGS, folder)


def load_mix(name_or_path: str | Path) -> Mix:
    """The mix of a name or a YAML file; TrafficError with all its problems."""
    path = locate(name_or_path, MIXES, "mix")
    raw, file = read_mapping(path, "mix", _MIX_KEYS)
    sizes = file.shares(raw.get("prompt_sizes"), ("prompt_sizes",), SIZES, required=True)
    languages = file.shares(raw.get("languages"), ("languages",), LANGUAGES)
    query_types = _Reader(file).query_types(raw.get("query_types"), sizes, languages)
    description = file.description(raw)
    file.finish()
    return Mix(path.stem, description, query_types)


def load_routing(name_or_path: str | Path, catalog: Catalog | None = None) -> Routing:
    """The routing of a name or a YAML file, its models looked up in the catalogue; TrafficError with all problems."""
    path = locate(name_or_path, ROUTINGS, "routing")
    raw, file = read_mapping(path, "routing", (*HEADER, *ROLES))
    reader = _Reader(file)
    simple, complex_ = (reader.model(raw.get(role), role, catalog or default_catalog()) for role in ROLES)
    description = file.description(raw)
    file.finish()
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


class _Reader:
    """Reads what mixes and routings have of their own."""

    def __init__(self, file: FileReader) -> None:
        self._file = file

    def query_types(self, raw: Any, sizes: Shares, languages: Shares) -> tuple[QueryType, ...]:
        """The query types of a mix; `sizes` and `languages` are those of types without their own."""
        path = ("query_types",)
        if not isinstance(raw, dict) or not raw:
            self._file.add(path, "query_types must be a mapping of at least one query type to its share and route")
            return ()
        before = len(self._file.problems)
        read = [self._query_type(str(name), entry, sizes, languages) for name, entry in raw.items()]
        query_types = tuple(query_type for query_type in read if query_type is not None)
        if len(self._file.problems) == before:
            self._file.check_sum(path, "the shares of query_types", [query_type.share for query_type in query_types])
        return query_types

    def _query_type(self, name: str, raw: Any, sizes: Shares, languages: Shares) -> QueryType | None:
        path = ("query_types", name)
        if not isinstance(raw, dict):
            keys = ", ".join(_TYPE_KEYS[:2])
            self._file.add(path, f"{format_path(path)} must be a mapping with {keys} and route, not {kind(raw)}")
            return None
        self._file.check_keys(path, raw, _TYPE_KEYS)
        complexity = self._file.choice(raw.get("complexity"), (*path, "complexity"), (*COMPLEXITIES, "mixed"))
        route = self._role(raw.get("route"), (*path, "route"))
        return QueryType(
            name=name,
            share=self._file.share(raw.get("share"), (*path, "share")),
            complexity=complexity,
            complex_share=self._complex_share(raw.get("complex_share"), (*path, "complex_share"), complexity),
            route=route,
            route_when_complex=self._role(raw.get("route_when_complex", route), (*path, "route_when_complex")),
            prompt_sizes=self._file.shares(raw.get("prompt_sizes"), (*path, "prompt_sizes"), SIZES) or sizes,
            languages=self._file.shares(raw.get("languages"), (*path, "languages"), LANGUAGES) or languages,
        )

    def _complex_share(self, raw: Any, path: KeyPath, complexity: str) -> int:
        if complexity == "mixed":
            return self._file.share(raw, path)
        if raw is not None:
            self._file.add(path, f"{format_path(path)} only makes sense with complexity: mixed")
        return WHOLE if complexity == "complex" else 0

    def _role(self, raw: Any, path: KeyPath) -> Role:
        return "complex" if self._file.choice(raw, path, ROLES) == "complex" else "simple"

    def model(self, raw: Any, role: str, catalog: Catalog) -> str:
        """A base model id of the catalogue; the profile prefix is the region prefix's business."""
        if not isinstance(raw, str):
            given = "is missing" if raw is None else f"must be text, not {kind(raw)}"
            self._file.add((role,), f"{role} {given}; give the base id of the model that answers {role} messages")
            return ""
        base = split_model_id(raw).base
        try:
            model_id = catalog.resolve_chat(raw).id
        except UnknownModelError as error:
            self._file.add((role,), f"{role}: {error}")
            return ""
        if base != raw:
            given = mask_accounts(raw)
            self._file.add((role,), f"{role} is {given!r}; write the base id {base!r}, the prefix is a region prefix")
        return model_id
