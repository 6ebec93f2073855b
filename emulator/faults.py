"""Fault rules: which requests are hit, how often and for how long, and with what.

Rules are looked at in order and the first that hits wins. A rule spares what it does not match, what comes outside its
time, what it skips, what its share does not draw and what comes after its count is used up; all this is left to the
rules after it, and none of it counts as a hit. Nothing here knows a clock or a socket.
"""

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from emulator.errors import ServiceError
from emulator.operations import Operation

ALL_OPERATIONS = frozenset(Operation)


class CutAt(StrEnum):
    """Where an answer is cut off."""

    BEFORE_HEADERS = "before_headers"
    MID_FRAME = "mid_frame"
    FRAME_BORDER = "frame_border"


class FramePart(StrEnum):
    """Which of a frame's two checksums is wrong."""

    PRELUDE = "prelude"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Refuse:
    """An HTTP error instead of an answer, `delay_s` after the request, before any quota is taken."""

    error: ServiceError
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The connection is dropped at once: no answer, no quota taken."""


@dataclass(frozen=True, slots=True)
class EndWithException:
    """An exception frame after so many events. `exception` is its member's name, or `error` for an unmodelled one."""

    exception: str
    code: str
    message: str
    members: Mapping[str, str | int]
    after_events: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The answer ends too early."""

    at: CutAt
    after_events: int


@dataclass(frozen=True, slots=True)
class Stall:
    """Silence after so many events; `stall_s` None is for ever."""

    after_events: int
    stall_s: float | None


@dataclass(frozen=True, slots=True)
class Trickle:
    """The answer's bytes come at this rate."""

    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class BreakChecksum:
    """A frame with a wrong checksum after so many events."""

    after_events: int
    part: FramePart


@dataclass(frozen=True, slots=True)
class Garble:
    """Random bytes in place of a frame after so many events; a whole answer is no JSON."""

    after_events: int


@dataclass(frozen=True, slots=True)
class RepeatLastEvent:
    """The stream's last event, which carries the usage, comes `times` times: 0 or 2."""

    times: int


@dataclass(frozen=True, slots=True)
class Delay:
    """The answer begins that much later."""

    delay_s: float


Action = (
    Refuse | Disconnect | EndWithException | Cut | Stall | Trickle | BreakChecksum | Garble | RepeatLastEvent | Delay
)


@dataclass(frozen=True, slots=True)
class Traits:
    """What rules know of a request.

    `regions` holds the region of its signature and the prefix of its inference profile, if it has them.
    """

    base_id: str
    profile_id: str
    operation: Operation
    tier: str
    regions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests a rule is about; an empty collection stands for all.

    `models` are base ids (with any profile or none), profile ids, or patterns with `*`, `?` and `[...]`.
    """

    models: tuple[str, ...] = ()
    operations: frozenset[Operation] = ALL_OPERATIONS
    tiers: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()

    def __contains__(self, traits: Traits) -> bool:
        return (
            traits.operation in self.operations
            and (not self.tiers or traits.tier in self.tiers)
            and (not self.regions or not self.regions.isdisjoint(traits.regions))
            and (not self.models or any(_names_model(name, traits) for name in self.models))
        )


def _names_model(name: str, traits: Traits) -> bool:
    return fnmatchcase(traits.base_id, name) or fnmatchcase(traits.profile_id, name)


@dataclass(frozen=True, slots=True)
class Rule:
    """What is to happen to which requests.

    `rate` is the share of them, drawn at random, `count` how many of them, from the first; both None is all. The first
    `skip` are spared. The rule is in force from `after_s` for `for_s` seconds (None: for ever); its end is not part of
    it. `label` is what the truth log says of a hit, `document` the rule as its author would write it in full.
    """

    match: Match
    action: Action
    label: str
    rate: float | None = None
    count: int | None = None
    skip: int = 0
    after_s: float = 0.0
    for_s: float | None = None
    document: Mapping[str, Any] = field(default_factory=dict)

    def is_in_force(self, elapsed_s: float) -> bool:
        """Whether it holds so long after its time began."""
        return self.after_s <= elapsed_s and (self.for_s is None or elapsed_s < self.after_s + self.for_s)


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule has hit a request; `seed` is of the random numbers its action may need."""

    action: Action
    label: str
    seed: str
    rule: "RuleInForce"

    @property
    def delay_s(self) -> float:
        """How much later the answer begins."""
        return self.action.delay_s if isinstance(self.action, Delay) else 0.0


class RuleInForce:
    """A rule, and how often it has matched and hit since `began_at` (Unix seconds)."""

    def __init__(self, rule: Rule, number: int, began_at: float, seed: int, *, is_configured: bool) -> None:
        self.rule = rule
        self.number = number
        self.is_configured = is_configured
        self.matched = 0
        self.hits = 0
        self._began_at = began_at
        self._seed = f"{seed}/faults/{number}"
        self._random = random.Random(self._seed)

    def hit(self, traits: Traits, at: float) -> Hit | None:
        """The hit, if it hits a request that came at `at`."""
        rule = self.rule
        if traits not in rule.match or not rule.is_in_force(at - self._began_at):
            return None
        self.matched += 1
        if self.matched <= rule.skip or not self._chooses():
            return None
        self.hits += 1
        return Hit(rule.action, rule.label, f"{self._seed}/{self.hits}", self)

    def take_back(self) -> None:
        """Count the last hit as none: there is no answer to be struck."""
        self.hits -= 1

    def to_dict(self) -> dict[str, Any]:
        """As the endpoint shows it."""
        return {
            "id": self.number,
            "source": "config" if self.is_configured else "added",
            "matched": self.matched,
            "hits": self.hits,
            "rule": dict(self.rule.document),
        }

    def _chooses(self) -> bool:
        if self.rule.count is not None:
            return self.hits < self.rule.count
        return self.rule.rate is None or self._random.random() < self.rule.rate


class FaultBook:
    """All rules in force: first those of the configuration, then those added since, each in their order.

    A rule's number is its id and, with the seed, the source of its random numbers. Numbers count on from 1 and are not
    given again before a reset.
    """

    def __init__(self, configured: Sequence[Rule], seed: int, at: float) -> None:
        self._configured = tuple(configured)
        self._seed = seed
        self._rules: list[RuleInForce] = []
        self._numbers = itertools.count(1)
        self.reset(at)

    @property
    def rules(self) -> Sequence[RuleInForce]:
        """The rules in force, in the order in which they are looked at."""
        return self._rules

    def hit(self, traits: Traits, at: float) -> Hit | None:
        """What happens to a request that came at `at` (Unix seconds), if anything."""
        return next((hit for rule in self._rules if (hit := rule.hit(traits, at)) is not None), None)

    def add(self, rules: Iterable[Rule], at: float) -> list[RuleInForce]:
        """Put rules behind those in force; their time begins at `at`."""
        return self._enter(rules, at, are_configured=False)

    def remove(self, number: int) -> bool:
        """Take a rule out; False if there is none of that number."""
        kept = [rule for rule in self._rules if rule.number != number]
        is_found = len(kept) < len(self._rules)
        self._rules = kept
        return is_found

    def clear(self) -> int:
        """Take all rules out; returns how many there were."""
        count = len(self._rules)
        self._rules = []
        return count

    def reset(self, at: float) -> None:
        """Begin again as after a start at `at`: the rules of the configuration, none of them used."""
        self._rules = []
        self._numbers = itertools.count(1)
        self._enter(self._configured, at, are_configured=True)

    def _enter(self, rules: Iterable[Rule], at: float, *, are_configured: bool) -> list[RuleInForce]:
        entered = [
            RuleInForce(rule, next(self._numbers), at, self._seed, is_configured=are_configured) for rule in rules
        ]
        self._rules = [*self._rules, *entered]
        return entered
