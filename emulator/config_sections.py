"""The shape of one model's settings in the configuration, and plain words for what is wrong with them."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from bedrock.catalog import SERVICE_TIERS
from emulator.quotas import ReservationRule, Window
from emulator.timing import Kind


class ConfigError(ValueError):
    """The configuration cannot be used; `problems` has one sentence for each thing wrong with it."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class Section(BaseModel):
    """A mapping with known keys only."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    def given(self) -> dict[str, Any]:
        """What the file says, without what it leaves out."""
        return self.model_dump(exclude_unset=True, exclude_none=True)


#: Largest sigma: it is of the logarithm, so a value in milliseconds is a mistake and would make answers take years.
MAX_SIGMA = 5.0
#: Largest exponent of the slow-down: at ten times the knee, answers take 10,000 times as long.
MAX_EXPONENT = 4.0

Positive = Annotated[float, Field(gt=0, strict=True)]
NotNegative = Annotated[float, Field(ge=0, strict=True)]
Count = Annotated[int, Field(ge=1, strict=True)]


def _number_is_fixed(value: Any) -> Any:
    """`ttft_ms: 400` is short for a fixed distribution."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"distribution": Kind.FIXED, "median": value} if is_number else value


class DistributionSection(Section):
    """A distribution; what is left out comes from the level below."""

    distribution: Kind | None = None
    median: Positive | None = None
    sigma: Annotated[float, Field(ge=0, le=MAX_SIGMA, strict=True)] | None = None
    values: Annotated[list[NotNegative], Field(min_length=1)] | None = None
    min: NotNegative | None = None
    max: Positive | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "DistributionSection":
        if (self.distribution is Kind.EMPIRICAL) != (self.values is not None):
            raise ValueError("`distribution: empirical` and a list of `values` go together")
        if self.min is not None and self.max is not None and self.max < self.min:
            raise ValueError("`max` is below `min`")
        return self


class SpeedSection(DistributionSection):
    """A distribution whose values are rates and so must not be 0."""

    values: Annotated[list[Positive], Field(min_length=1)] | None = None


class TtftSection(DistributionSection):
    """A distribution whose median may be 0: no wait but the prefill."""

    median: NotNegative | None = None


class LatencySection(Section):
    """When tokens come."""

    ttft_ms: Annotated[TtftSection, BeforeValidator(_number_is_fixed)] | None = None
    prefill_ms_per_token: NotNegative | None = None
    cache_read_share: Annotated[float, Field(ge=0, le=1, strict=True)] | None = None
    tokens_per_second: Annotated[SpeedSection, BeforeValidator(_number_is_fixed)] | None = None
    tokens_per_event: Count | None = None


class TailSection(Section):
    """The slow few."""

    share: Annotated[float, Field(ge=0, le=1, strict=True)] | None = None
    factor_min: Annotated[float, Field(ge=1, strict=True)] | None = None
    factor_max: Annotated[float, Field(ge=1, strict=True)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "TailSection":
        low = 3.0 if self.factor_min is None else self.factor_min
        high = 10.0 if self.factor_max is None else self.factor_max
        if high < low:
            raise ValueError(f"`factor_max` ({high:g}) is below `factor_min` ({low:g})")
        return self


class TierSection(Section):
    """What a tier changes."""

    ttft_factor: NotNegative | None = None
    speed_factor: Positive | None = None
    input_tpm: Count | None = None
    output_tpm: Count | None = None


class ReasoningSection(Section):
    """How long the model thinks before it answers, and whether it always does."""

    always: Annotated[bool, Field(strict=True)] | None = None
    tokens: Annotated[DistributionSection, BeforeValidator(_number_is_fixed)] | None = None


class ConcurrencySection(Section):
    """What load does (`emulator.capacity`)."""

    knee: Count | None = None
    exponent: Annotated[float, Field(ge=0, le=MAX_EXPONENT, strict=True)] | None = None
    limit: Count | None = None
    wording: Literal["connections", "capacity"] | None = None
    priority_share: Annotated[float, Field(ge=0, lt=1, strict=True)] | None = None
    flex_share: Annotated[float, Field(ge=0, le=1, strict=True)] | None = None
    flex_queue: Annotated[int, Field(ge=0, strict=True)] | None = None
    flex_wait_s: NotNegative | None = None

    @model_validator(mode="after")
    def _does_something(self) -> "ConcurrencySection":
        if self.knee is None and self.limit is None:
            raise ValueError("it has no effect: give `knee`, `limit` or both")
        return self


def _catalog_is_limits(value: Any) -> Any:
    """`quota: catalog` is short for the account's default limits."""
    if isinstance(value, str) and value != "catalog":
        raise ValueError(f"{value!r} is neither `catalog` nor a mapping of limits, like `{{rpm: 60}}`")
    return {"limits": "catalog"} if value == "catalog" else value


class QuotaSection(Section):
    """Limits of requests and tokens."""

    limits: Literal["catalog"] | None = None
    rpm: Count | None = None
    tpm: Count | None = None
    tpd: Count | None = None
    window: Window | None = None
    burndown: Positive | None = None
    reservation: ReservationRule | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> "QuotaSection":
        if self.limits is None and self.rpm is None and self.tpm is None and self.tpd is None:
            raise ValueError("it limits nothing: give `rpm`, `tpm` or `tpd`, or write `quota: catalog`")
        return self


def _has_numbers(value: Any) -> Any:
    """The catalogue has no quotas of latency-optimised calls to take."""
    if isinstance(value, str) or (isinstance(value, dict) and "limits" in value):
        raise ValueError("the catalogue has no limits for latency-optimised calls: give `rpm`, `tpm` or `tpd`")
    return value


class OptimizedSection(Section):
    """What latency-optimised changes, and how much of it there is."""

    ttft_factor: NotNegative | None = None
    speed_factor: Positive | None = None
    quota: Annotated[QuotaSection, BeforeValidator(_has_numbers)] | None = None


class ModelSection(Section):
    """Settings of one model, or of all (`default`)."""

    latency: LatencySection | None = None
    output_tokens: Annotated[DistributionSection, BeforeValidator(_number_is_fixed)] | None = None
    tail: TailSection | None = None
    tiers: dict[Literal["default", "priority", "flex", "reserved"], TierSection] | None = None
    quota: Annotated[QuotaSection, BeforeValidator(_catalog_is_limits)] | None = None
    concurrency: ConcurrencySection | None = None
    optimized: OptimizedSection | None = None
    reasoning: ReasoningSection | None = None

    @model_validator(mode="after")
    def _reserves_where_it_can(self) -> "ModelSection":
        for name, tier in (self.tiers or {}).items():
            given = [tier.input_tpm, tier.output_tpm]
            if name == "reserved" and None in given:
                raise ValueError("`tiers.reserved` needs `input_tpm` and `output_tpm`: how much is reserved")
            if name != "reserved" and given != [None, None]:
                raise ValueError(f"`tiers.{name}` has no reserved capacity: `input_tpm` belongs to `reserved`")
        return self


def check_section(where: str, raw: Any, problems: list[str]) -> ModelSection | None:
    """The settings of one section; what is wrong with them is appended to `problems`."""
    if not isinstance(raw, dict):
        problems.append(f"{where}: must be a mapping of settings, like `quota: {{rpm: 60}}`")
        return None
    try:
        return ModelSection.model_validate(raw)
    except ValidationError as error:
        problems.extend(_in_words(where, problem) for problem in error.errors(include_url=False))
        return None


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` where a known name is close, else the known names."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else f"; known are {', '.join(names)}"


def _in_words(where: str, problem: Any) -> str:
    location = [str(part) for part in problem["loc"] if part != "[key]"]
    place = ".".join((where, *location))
    if problem["type"] == "extra_forbidden":
        return f"{place}: unknown key{suggestion(location[-1], _known_keys(location[:-1]))}"
    if problem["type"] == "literal_error" and location[:1] == ["tiers"]:
        return f"{place}: unknown service tier{suggestion(location[-1], SERVICE_TIERS)}"
    if problem["type"] in ("model_type", "dict_type"):
        return f"{place}: must be a mapping of settings, not {problem['input']!r}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{place}: {message}"
    message = message.replace("Input should be", "must be").replace("a valid integer", "a whole number")
    return f"{place}: {message[:1].lower()}{message[1:]}, not {problem['input']!r}"


def _known_keys(location: Sequence[str]) -> list[str]:
    """The keys that the section at `location` has."""
    section: type[Section] = ModelSection
    for part in location:
        fields = section.model_fields
        section = TierSection if part not in fields else _section_of(fields[part].annotation) or section
    return list(section.model_fields)


def _section_of(annotation: Any) -> type[Section] | None:
    """The section class inside an annotation such as `Annotated[X, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for found in map(_section_of, get_args(annotation)) if found is not None), None)
