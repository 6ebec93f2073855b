"""The shape of each kind of fault rule: its keys, what they may hold, and what they mean."""

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from bedrock.catalog import PROFILE_PREFIXES, SERVICE_TIERS, Catalog
from emulator import faults
from emulator.config_sections import Count, NotNegative, Positive, Section, suggestion
from emulator.errors import ServiceError
from emulator.faults import ALL_OPERATIONS, Action, CutAt, FramePart, Match, Rule
from emulator.model_names import known_model_name
from emulator.modelled_errors import IN_STREAM, MODELLED, STREAMED_OPERATIONS, UNMODELLED, operations_with
from emulator.operations import Operation

#: Largest text a rule may put into an answer; a header of an event frame holds 65,535 bytes.
MAX_TEXT_CHARACTERS = 2000
#: Longest wait of a fault; a client that waits longer is told no more by it.
MAX_WAIT_S = 86_400.0
MIN_BYTES_PER_S = 0.001
DEFAULT_AFTER_EVENTS = 3
#: Code of an error that the service's model does not know, where no other is given.
_UNMODELLED_CODE = "InternalFailure"
_OTHER_MESSAGE = "This error was injected by a fault rule of the emulator."

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_CODE = r"^[A-Za-z][A-Za-z0-9_]*$"

NotNegativeCount = Annotated[int, Field(ge=0, strict=True)]
Wait = Annotated[float, Field(gt=0, le=MAX_WAIT_S, strict=True)]
Status = Annotated[int, Field(ge=400, le=599, strict=True)]
Text = Annotated[str, Field(strict=True, max_length=MAX_TEXT_CHARACTERS)]
Code = Annotated[str, Field(strict=True, max_length=100, pattern=_CODE)]


class MatchSection(Section):
    """Which requests: each key is a name or a list of names, and all keys given must fit."""

    model: list[str] | None = None
    operation: list[str] | None = None
    tier: list[str] | None = None
    region: list[str] | None = None

    @field_validator("model", "operation", "tier", "region", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
            raise ValueError(f"must be a name or a list of names, not {value!r}")
        return names

    @field_validator("model")
    @classmethod
    def _models_exist(cls, names: list[str], info: ValidationInfo) -> list[str]:
        catalog: Catalog = (info.context or {})["catalog"]
        return [known_model_name(name, catalog) for name in names]

    @field_validator("operation")
    @classmethod
    def _operations_exist(cls, names: list[str]) -> list[str]:
        return _all_known(names, [operation.value for operation in Operation], "operation")

    @field_validator("tier")
    @classmethod
    def _tiers_exist(cls, names: list[str]) -> list[str]:
        return _all_known(names, SERVICE_TIERS, "service tier")

    @field_validator("region")
    @classmethod
    def _regions_look_like_it(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in PROFILE_PREFIXES and not _REGION.fullmatch(name):
                raise ValueError(
                    f"{name!r} is neither a region, like us-east-1, nor the prefix of a profile: "
                    f"{', '.join(PROFILE_PREFIXES)}"
                )
        return names

    def match(self, operations: frozenset[Operation]) -> Match:
        """What it matches, of the operations that the rule can hit at all."""
        named = frozenset(map(Operation, self.operation or ALL_OPERATIONS))
        return Match(
            models=tuple(self.model or ()),
            operations=operations & named,
            tiers=frozenset(self.tier or ()),
            regions=frozenset(self.region or ()),
        )


class RuleSection(Section):
    """What all rules have; the parameters come with the kind."""

    kind: str
    match: MatchSection | None = None
    rate: Annotated[float, Field(ge=0, le=1, strict=True)] | None = None
    count: Count | None = None
    skip: NotNegativeCount = 0
    after_s: NotNegative = 0.0
    for_s: Positive | None = None

    @model_validator(mode="after")
    def _rate_or_count(self) -> "RuleSection":
        if self.rate is not None and self.count is not None:
            raise ValueError("give `rate` or `count`, not both: a share of the requests, or a number of them")
        return self

    @property
    def operations(self) -> frozenset[Operation]:
        """The operations whose answers it can hit."""
        return ALL_OPERATIONS

    @property
    def variant(self) -> str | None:
        """What the truth log says beside the kind."""
        return None

    @abstractmethod
    def action(self) -> Action:
        """What happens to a request that is hit."""

    def rule(self) -> Rule:
        """The rule it describes."""
        return Rule(
            match=(self.match or MatchSection()).match(self.operations),
            action=self.action(),
            label=self.kind if self.variant is None else f"{self.kind}:{self.variant}",
            rate=self.rate,
            count=self.count,
            skip=self.skip,
            after_s=self.after_s,
            for_s=self.for_s,
            document=self.model_dump(mode="json", exclude_none=True),
        )


class StreamRuleSection(RuleSection):
    """A rule about streams only."""

    @property
    def operations(self) -> frozenset[Operation]:
        """The streaming ones."""
        return STREAMED_OPERATIONS


class LaterInStreamSection(StreamRuleSection):
    """A rule that strikes after some events of a stream."""

    after_events: NotNegativeCount = DEFAULT_AFTER_EVENTS


class ErrorSection(RuleSection):
    """`error`: an HTTP error instead of an answer."""

    code: Code
    status: Status | None = None
    message: Text | None = None
    retry_after_ms: NotNegativeCount | None = None
    delay_s: Annotated[float, Field(ge=0, le=MAX_WAIT_S, strict=True)] = 0.0
    original_status_code: NotNegativeCount | None = None
    original_message: Text | None = None
    resource_name: Text | None = None

    @model_validator(mode="after")
    def _complete(self) -> "ErrorSection":
        known = MODELLED.get(self.code)
        if self.status is None and known is None:
            raise ValueError(f"`status` is missing: {self.code!r} is no modelled exception{_meant(self.code)}")
        self.status = self.status or (known.status if known else None)
        self.message = _message(self.code, self.message)
        _members(self, self.code)
        return self

    @property
    def variant(self) -> str:
        """The exception class."""
        return self.code

    def action(self) -> Action:
        """An error answer."""
        assert self.status is not None  # noqa: S101 - `_complete` has seen to both
        assert self.message is not None  # noqa: S101
        fields = () if self.retry_after_ms is None else (("x-amz-retry-after", str(self.retry_after_ms)),)
        error = ServiceError(self.code, self.status, self.message, _members(self, self.code), fields)
        return faults.Refuse(error, self.delay_s)


class StreamExceptionSection(LaterInStreamSection):
    """`stream_exception`: an exception frame inside a stream."""

    exception: str
    code: Code | None = None
    message: Text | None = None
    original_status_code: NotNegativeCount | None = None
    original_message: Text | None = None

    @field_validator("exception")
    @classmethod
    def _exists(cls, name: str) -> str:
        return _all_known([name], [*IN_STREAM, UNMODELLED], "exception of a stream")[0]

    @model_validator(mode="after")
    def _complete(self) -> "StreamExceptionSection":
        if self.code is not None and self.exception != UNMODELLED:
            raise ValueError(f"`code` goes with `exception: {UNMODELLED}` only; that of {self.exception} is its name")
        if self.exception == UNMODELLED:
            self.code = self.code or _UNMODELLED_CODE
        self.message = _message(self.error_code, self.message)
        _members(self, self.error_code)
        return self

    @property
    def error_code(self) -> str:
        """The exception class, or the code of an unmodelled error."""
        return self.code or IN_STREAM[self.exception]

    @property
    def operations(self) -> frozenset[Operation]:
        """Those whose streams may carry the exception."""
        return operations_with(self.exception)

    @property
    def variant(self) -> str:
        """The exception's name."""
        return self.exception

    def action(self) -> Action:
        """An exception frame."""
        assert self.message is not None  # noqa: S101 - `_complete` has seen to it
        members = {} if self.exception == UNMODELLED else _members(self, self.error_code)
        return faults.EndWithException(self.exception, self.error_code, self.message, members, self.after_events)


class CutSection(RuleSection):
    """`cut`: the connection is closed, or the stream ended, too early."""

    at: CutAt
    after_events: NotNegativeCount | None = None

    @model_validator(mode="after")
    def _complete(self) -> "CutSection":
        if self.at is not CutAt.BEFORE_HEADERS:
            self.after_events = DEFAULT_AFTER_EVENTS if self.after_events is None else self.after_events
        elif self.after_events is not None:
            raise ValueError("`after_events` does not go with `at: before_headers`, where no event is sent")
        return self

    @property
    def operations(self) -> frozenset[Operation]:
        """Only streams have frames with borders."""
        return STREAMED_OPERATIONS if self.at is CutAt.FRAME_BORDER else ALL_OPERATIONS

    @property
    def variant(self) -> str:
        """Where."""
        return self.at.value

    def action(self) -> Action:
        """A cut."""
        return faults.Cut(self.at, self.after_events or 0)


class StallSection(LaterInStreamSection):
    """`stall`: silence inside a stream."""

    stall_s: Wait | None = None

    def action(self) -> Action:
        """Silence."""
        return faults.Stall(self.after_events, self.stall_s)


class TrickleSection(RuleSection):
    """`trickle`: a slow line."""

    bytes_per_s: Annotated[float, Field(ge=MIN_BYTES_PER_S, strict=True)]

    def action(self) -> Action:
        """A rate."""
        return faults.Trickle(self.bytes_per_s)


class BadCrcSection(LaterInStreamSection):
    """`bad_crc`: a frame with a wrong checksum."""

    part: FramePart = FramePart.MESSAGE

    @property
    def variant(self) -> str:
        """Which checksum."""
        return self.part.value

    def action(self) -> Action:
        """A broken frame."""
        return faults.BreakChecksum(self.after_events, self.part)


class GarbageSection(RuleSection):
    """`garbage`: bytes that are no frame, or a body that is no JSON."""

    after_events: NotNegativeCount = DEFAULT_AFTER_EVENTS

    def action(self) -> Action:
        """Garbage."""
        return faults.Garble(self.after_events)


class DuplicateMetadataSection(StreamRuleSection):
    """`duplicate_metadata`: the usage comes twice."""

    def action(self) -> Action:
        """Twice."""
        return faults.RepeatLastEvent(2)


class MissingMetadataSection(StreamRuleSection):
    """`missing_metadata`: the usage does not come."""

    def action(self) -> Action:
        """Not at all."""
        return faults.RepeatLastEvent(0)


class DelaySection(RuleSection):
    """`delay`: the answer begins later."""

    delay_s: Wait

    def action(self) -> Action:
        """Later."""
        return faults.Delay(self.delay_s)


class OutageSection(RuleSection):
    """`outage`: a model or a region is down."""

    mode: Literal["error", "refuse_connection"] = "error"

    @property
    def variant(self) -> str | None:
        """How it shows, where that is not an error."""
        return None if self.mode == "error" else self.mode

    def action(self) -> Action:
        """503, or no answer."""
        if self.mode == "refuse_connection":
            return faults.Disconnect()
        code = "ServiceUnavailableException"
        return faults.Refuse(ServiceError(code, MODELLED[code].status, MODELLED[code].default_wording))


KINDS: Mapping[str, type[RuleSection]] = {
    "error": ErrorSection,
    "stream_exception": StreamExceptionSection,
    "cut": CutSection,
    "stall": StallSection,
    "trickle": TrickleSection,
    "bad_crc": BadCrcSection,
    "garbage": GarbageSection,
    "duplicate_metadata": DuplicateMetadataSection,
    "missing_metadata": MissingMetadataSection,
    "delay": DelaySection,
    "outage": OutageSection,
}


def unknown(name: Any, known: Sequence[str], what: str) -> str:
    """What to say of a name that is not among the known ones."""
    hint = suggestion(name, known) if isinstance(name, str) else f"; known are {', '.join(known)}"
    return f"is missing{hint}" if name is None else f"unknown {what} {name!r}{hint}"


def _all_known(names: list[str], known: Sequence[str], what: str) -> list[str]:
    for name in names:
        if name not in known:
            raise ValueError(unknown(name, known, what))
    return names


def _message(code: str, given: str | None) -> str:
    """The text of an error: the name of one of its wordings, or the text itself."""
    known = MODELLED.get(code)
    wordings = {} if known is None else known.wordings
    if given is None:
        return _OTHER_MESSAGE if known is None else known.default_wording
    if given not in wordings and get_close_matches(given, list(wordings), n=1, cutoff=0.7):
        raise ValueError(f"`message`: unknown wording {given!r}{suggestion(given, wordings)}")
    return wordings.get(given, given)


#: Keys of a rule and the members of an error's body that they set.
_MEMBERS = {
    "original_status_code": "originalStatusCode",
    "original_message": "originalMessage",
    "resource_name": "resourceName",
}


def _members(section: RuleSection, code: str) -> dict[str, str | int]:
    """The members beside `message` that an error has; ValueError for one given that it has not."""
    members = dict(MODELLED[code].members) if code in MODELLED else {}
    for key, member in _MEMBERS.items():
        value = getattr(section, key, None)
        if value is not None and member not in members:
            raise ValueError(f"`{key}` is no member of {code}")
        if value is not None:
            members[member] = value
    return members


def _meant(code: str) -> str:
    close = get_close_matches(code, list(MODELLED), n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else ""
