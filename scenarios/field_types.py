"""Types of the keys of scenario files: closed lists, quantities with units, limits, and how each is written back."""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PositiveInt,
    Strict,
    StringConstraints,
    WithJsonSchema,
)

from bedrock.bodies import APIS
from bedrock.catalog import PROFILE_PREFIXES, SERVICE_TIERS
from bedrock.client import TRANSPORTS
from bedrock.retry import POLICIES
from scenarios.arrivals import BURSTINESS_RANGE, PROCESSES
from scenarios.objectives import parse_objective
from scenarios.patterns import MAX_STEPS, PATTERNS
from scenarios.request_values import (
    LATENCIES,
)
from scenarios.schedule import RESERVED_NAMES
from scenarios.units import (
    MAX_RATE_RPS,
    UnitError,
    parse_duration_range_s,
    parse_duration_s,
    parse_rate_rps,
    parse_share,
    parse_start_rate_rps,
)

TARGETS = ("emulator", "aws")
LOAD_MODELS = ("open", "closed")
PROMPT_SIZES = ("small", "medium", "large", "mixed")
SINGLE_PROMPT = "single_prompt"
MANGAASSIST = "mangaassist"
TRAFFIC = (SINGLE_PROMPT, MANGAASSIST)
NO_PREFIX = "none"
#: `budget.max_cost_usd` of someone who decided against a limit.
NO_LIMIT = "none"

#: Measured time of a cell where nothing says how long.
DEFAULT_DURATION_S = 60.0

#: Slower than one user in eleven days is a slip of the finger.
MIN_SPAWN_RATE_RPS = 1e-6

#: Most stages of a load.
MAX_STAGES = 100

#: Default of `max_tokens`: what the workload's mock models answer at most.
DEFAULT_MAX_TOKENS = 4096


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """` Did you mean x?` where something known is close to `value`, else the empty text."""
    options = {str(option).lower(): str(option) for option in known}
    close = difflib.get_close_matches(value.lower(), list(options), n=1, cutoff=0.5)
    return f" Did you mean {options[close[0]]}?" if close else ""


def _one_of(options: Sequence[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in options:
            raise ValueError(f"{value!r} is not one of {', '.join(options)}.{did_you_mean(value, options)}")
        return value

    return AfterValidator(check)


def _enum(options: Sequence[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(options)})


def _quantity(parse: Callable[[Any], Any], write: Callable[[Any], str], example: str) -> tuple[Any, ...]:
    """Validator, writer and schema of a value that is text with a unit in the file and a number in Python."""

    def read(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"{value!r} must be text with a unit, like {example}")
        return parse(value)

    return (
        BeforeValidator(read),
        PlainSerializer(write, return_type=str),
        WithJsonSchema({"type": "string", "examples": [example]}),
    )


def _number(value: float) -> str:
    return format(value, ".12g")


def _positive_duration_s(text: Any) -> float:
    seconds = parse_duration_s(text)
    if seconds <= 0:
        raise UnitError(f"{text!r} must be longer than 0s")
    return seconds


def _positive_rate_rps(text: Any) -> float:
    rate = parse_rate_rps(text)
    if rate <= 0:
        raise UnitError(f"{text!r} must be more than 0/s")
    return rate


def _spawn_rate(text: Any) -> float:
    """Users a second: `10/s`, or a bare number as Locust's own --spawn-rate has it."""
    try:
        rate = float(text)
    except ValueError:
        return _positive_rate_rps(text)
    if not MIN_SPAWN_RATE_RPS <= rate <= MAX_RATE_RPS:
        raise UnitError(f"{text!r} must be more than 0/s, and at most {MAX_RATE_RPS:.0f}/s")
    return rate


def parse_window(text: Any) -> tuple[float, float]:
    """Fractions of `40%-60%`; UnitError unless they are in order and inside the duration."""
    low, dash, high = str(text).partition("-")
    if not dash:
        raise UnitError(f"{text!r} is not a window: write two shares of the duration, like 40%-60%")
    window = parse_share(low.strip()), parse_share(high.strip())
    if not 0.0 < window[0] < window[1] < 1.0:
        raise UnitError(f"{text!r} is not a window inside the duration: write it like 40%-60%")
    return window


def format_seconds(seconds: float) -> str:
    """Seconds with their unit and without loss: `0.5s`."""
    return f"{_number(seconds)}s"


def format_rps(rate_rps: float) -> str:
    """Rate with its unit and without loss: `12.5/s`."""
    return f"{_number(rate_rps)}/s"


def format_window(window: tuple[float, float]) -> str:
    """Window as the file writes it: `40%-60%`."""
    return "-".join(f"{_number(share * 100)}%" for share in window)


def format_range_s(range_s: tuple[float, float]) -> str:
    """Range of durations as the file writes it: `0.5s-1.5s`."""
    return "-".join(format_seconds(seconds) for seconds in range_s)


def _positive_share(text: Any) -> float:
    share = parse_share(text)
    if share <= 0:
        raise UnitError(f"{text!r} must be more than 0%")
    return share


_SHARE = _quantity(_positive_share, lambda share: f"{_number(share * 100)}%", "20%")
_DURATION = _quantity(_positive_duration_s, format_seconds, "30s")
_WAIT = _quantity(parse_duration_s, format_seconds, "5s")
_RATE = _quantity(_positive_rate_rps, format_rps, "5/s")
_START_RATE = _quantity(parse_start_rate_rps, format_rps, "1/s")
_SPAWN_RATE = _quantity(_spawn_rate, format_rps, "10/s")
_WINDOW = _quantity(parse_window, format_window, "40%-60%")
_RANGE = _quantity(parse_duration_range_s, format_range_s, "0.5s-1.5s")

DurationS = Annotated[float, *_DURATION]
Share = Annotated[float, *_SHARE]
WaitS = Annotated[float, *_WAIT]
RateRps = Annotated[float, *_RATE]
StartRateRps = Annotated[float, *_START_RATE]
SpawnRate = Annotated[float, *_SPAWN_RATE]
Window = Annotated[tuple[float, float], *_WINDOW]
DurationRangeS = Annotated[tuple[float, float], *_RANGE]

Target = Annotated[str, _one_of(TARGETS), _enum(TARGETS)]
Api = Annotated[str, _one_of(APIS), _enum(APIS)]
Transport = Annotated[str, _one_of(TRANSPORTS), _enum(TRANSPORTS)]
Traffic = Annotated[str, _one_of(TRAFFIC), _enum(TRAFFIC)]
LoadModel = Annotated[str, _one_of(LOAD_MODELS), _enum(LOAD_MODELS)]
Latency = Annotated[str, _one_of(LATENCIES), _enum(LATENCIES)]
RetryPolicyName = Annotated[str, _one_of(POLICIES), _enum(POLICIES)]
Pattern = Annotated[str, _one_of(PATTERNS), _enum(PATTERNS)]
Process = Annotated[str, _one_of(PROCESSES), _enum(PROCESSES)]
PromptSize = Annotated[str, _one_of(PROMPT_SIZES), _enum(PROMPT_SIZES)]
ServiceTier = Annotated[str, _one_of(SERVICE_TIERS), _enum(SERVICE_TIERS)]
_PREFIXES = (*PROFILE_PREFIXES, NO_PREFIX)
RegionPrefix = Annotated[str, _one_of(_PREFIXES), _enum(_PREFIXES)]

#: `us-east-1`, `us-gov-west-1`, `ap-northeast-1`.
_REGION = re.compile(r"[a-z]{2,3}(-[a-z]+)+-\d{1,2}")


def check_region(value: str) -> str:
    """The region as it is; ValueError for what looks like none. Which regions there are only AWS knows."""
    if not _REGION.fullmatch(value):
        raise ValueError(f"{value!r} is not an AWS region: write it like us-east-1")
    return value


Region = Annotated[
    str, AfterValidator(check_region), WithJsonSchema({"type": "string", "pattern": f"^{_REGION.pattern}$"})
]

#: Above what any test has, and far below where arithmetic ends.
Count = Annotated[PositiveInt, Strict(), Field(le=1_000_000_000_000)]
#: Users of one cell: 10 kB each while they wait, and above this surely a slip of the finger.
Users = Annotated[PositiveInt, Strict(), Field(le=100_000)]
Factor = Annotated[float, Strict(), Field(ge=0.001, le=1e6, allow_inf_nan=False)]
Burstiness = Annotated[float, Strict(), Field(ge=BURSTINESS_RANGE[0], le=BURSTINESS_RANGE[1])]
StepCount = Annotated[int, Strict(), Field(ge=1, le=MAX_STEPS)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=60)]


def _check_stage_name(value: str) -> str:
    if value in RESERVED_NAMES:
        raise ValueError(f"{value} is the name of a phase that is not measured: choose another")
    return value


StageName = Annotated[Name, AfterValidator(_check_stage_name)]


def _check_objective(value: Any) -> Any:
    parse_objective(value)
    return value


ObjectiveEntry = Annotated[
    Any,
    AfterValidator(_check_objective),
    WithJsonSchema({"type": ["string", "object"], "examples": ["ttft_ms p95 < 400ms"]}),
]


def _check_cost_limit(value: Any) -> Any:
    if value is None or value == NO_LIMIT:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ValueError(f"{value!r} is not an amount in USD: write a number above 0, or none for no limit")
    return float(value)


CostLimit = Annotated[
    Any,
    AfterValidator(_check_cost_limit),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"const": NO_LIMIT}]}),
]
