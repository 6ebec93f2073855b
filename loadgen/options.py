"""Command-line options that this framework adds to Locust, and their validated form.

Every option has a typed default that is not None: the web form keeps the type of the default and checks neither
`type` nor `choices`, so all values are validated again at the start of each test (locust.md 1.6).
"""

import difflib
import math
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bedrock.bodies import APIS
from bedrock.catalog import PROFILE_PREFIXES, SERVICE_TIERS, Catalog, default_catalog
from bedrock.client import TRANSPORTS
from bedrock.prices import PricesError, catalog_with
from bedrock.retry import POLICIES
from scenarios.arrivals import BURSTINESS_RANGE, PROCESSES
from scenarios.loading import ScenarioError
from scenarios.patterns import DEFAULT_STEPS, MAX_STEPS, PATTERNS, REPLAY, PatternError, step_levels
from scenarios.problems import ProblemsError
from scenarios.request_values import (
    LATENCIES,
    NO_LATENCY,
    RequestValueError,
    SystemPrompt,
    check_metadata,
    check_stop_sequences,
    parse_metadata,
    parse_stop_sequences,
    read_system_prompt,
)
from scenarios.schedule import Schedule, Stage, make_schedule
from scenarios.stages import read_stages
from scenarios.trace import Trace
from scenarios.units import (
    UnitError,
    parse_duration_range_s,
    parse_duration_s,
    parse_rate_rps,
    parse_share,
    parse_start_rate_rps,
)
from scenarios.user_profiles import UserPattern, UserProfile

DEFAULT_PROMPTS_FILE = str(Path(__file__).parent.parent / "prompts.json")
DEFAULT_ENDPOINT_URL = "http://127.0.0.1:8700"
PROMPT_SIZES = ("small", "medium", "large", "mixed")
AWS = "aws"
TARGETS = ("emulator", AWS)
NO_PREFIX = "none"
NO_LIMIT = "none"

T = TypeVar("T")


class OptionsError(ValueError):
    """Options that make no test; `problems` has a sentence for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class Option(NamedTuple):
    """One option of the command line and of the web form."""

    flag: str
    env_var: str
    default: str | int | bool
    help: str
    choices: tuple[str, ...] | None = None
    in_web_ui: bool = True


OPTIONS = (
    Option("--model-id", "BASE_MODEL_ID", "amazon.nova-premier-v1:0", "base id, ARN, ARN=model; single_prompt.py only"),
    Option("--routing", "ROUTING", "reference", "routing of the mix: reference, current, nova or a file"),
    Option("--sessions", "SESSIONS", "mangaassist", "conversations of mangaassist_sessions.py: mangaassist or a file"),
    Option("--region-prefix", "REGION_PREFIX", "us", "inference profile prefix; none for the base model id"),
    Option("--service-tier", "SERVICE_TIER", "default", "service tier asked for", SERVICE_TIERS),
    Option("--prompt-size", "PROMPT_SIZE", "medium", "prompt size; mixed takes the mix's own sizes", PROMPT_SIZES),
    Option("--prompts-file", "PROMPTS_FILE", DEFAULT_PROMPTS_FILE, "prompt library"),
    Option("--max-tokens", "MAX_TOKENS", 4096, "most output tokens of an answer; reserved against the quota"),
    # Not in the form: a page must not choose which file of this machine is sent somewhere (see loadgen/web_form.py).
    Option("--system-prompt-file", "SYSTEM_PROMPT_FILE", "", "system prompt of every request", in_web_ui=False),
    Option("--cache-system", "CACHE_SYSTEM", False, "cache point behind the system prompt"),
    Option(
        "--latency", "LATENCY", NO_LATENCY, "none to ask for nothing; standard, optimized", (NO_LATENCY, *LATENCIES)
    ),
    Option("--stop-sequences", "STOP_SEQUENCES", "", "texts that end an answer: with commas, or a JSON list"),
    Option("--request-metadata", "REQUEST_METADATA", "", "for the account's logs: key=value,..., or a JSON object"),
    Option("--nonce", "NONCE", False, "begin every request with random digits: no prompt cache"),
    Option("--api", "API", "converse_stream", "converse_stream, converse, invoke_model_stream or invoke_model", APIS),
    Option("--transport", "TRANSPORT", "wire", "how calls are made: wire or boto3", TRANSPORTS),
    Option("--target", "TARGET", "emulator", "emulator (any endpoint URL) or aws (costs money)", TARGETS),
    Option("--endpoint-url", "ENDPOINT_URL", "", f"endpoint; else Locust's host, else {DEFAULT_ENDPOINT_URL}"),
    Option("--region", "REGION", "us-east-1", "AWS region"),
    Option("--rate", "RATE", "", "arrivals, like 5/s: open loop, users are slots; empty: closed loop"),
    Option("--pattern", "PATTERN", "sustained", "shape of the rate, or of the number of users, over time", PATTERNS),
    Option("--arrival-process", "ARRIVAL_PROCESS", "poisson", "spacing of arrivals", PROCESSES),
    Option("--burstiness", "BURSTINESS", "1", "of gamma: 1 is poisson, below it arrivals cluster"),
    Option("--start-rate", "START_RATE", "", "where ramp and steps begin, like 2/s; empty: 0/s, or rate / steps"),
    Option("--steps", "STEPS", DEFAULT_STEPS, "number of equal steps up to the rate, or to all users"),
    Option("--step-rates", "STEP_RATES", "", "rates of the steps, with commas; empty: equal steps up to the rate"),
    Option("--spike-factor", "SPIKE_FACTOR", "10", "height of a spike, times the baseline"),
    Option("--spike-window", "SPIKE_WINDOW", "40%-60%", "when the spike is, as shares of the duration"),
    Option("--trace-file", "TRACE_FILE", "", "of replay: CSV or JSONL file with the time of each message"),
    Option("--trace-speed", "TRACE_SPEED", "1", "how many times as fast the trace is replayed"),
    Option("--stages-file", "STAGES_FILE", "", "YAML file with stages of load, instead of rate and pattern"),
    Option("--test-duration", "TEST_DURATION", "", "measured time, like 1m; empty: until stopped, or a whole trace"),
    Option("--warmup", "WARMUP", "0s", "unmeasured time at the start"),
    Option("--think-time", "THINK_TIME", "0.5s-1.5s", "pause of a user between answers, closed loop"),
    Option("--max-lag", "MAX_LAG", "1s", "arrivals that no slot takes within this are dropped"),
    Option("--max-slots", "MAX_SLOTS", 0, "open loop: slots that -u may grow to while arrivals wait; 0: ten times -u"),
    Option("--drain-timeout", "DRAIN_TIMEOUT", "30s", "how long open calls may finish at the end"),
    Option("--call-timeout", "CALL_TIMEOUT", "5m", "longest silence of a connection"),
    Option("--retry", "RETRY", "none", "failed calls again: none, standard (as the SDK does) or fixed", POLICIES),
    Option("--retry-attempts", "RETRY_ATTEMPTS", 3, "attempts of a message in all, in each round of its regions"),
    Option("--retry-delay", "RETRY_DELAY", "1s", "pause before each retry of the fixed policy"),
    Option("--failover-regions", "FAILOVER_REGIONS", "", "regions by priority, with commas; empty: no failover"),
    Option("--failover-cool-down", "FAILOVER_COOL_DOWN", "60s", "how long a failed region is left out, at first"),
    Option(
        "--failover-max-cool-down", "FAILOVER_MAX_COOL_DOWN", "10m", "and at most, doubling from failure to failure"
    ),
    Option(
        "--max-requests", "MAX_REQUESTS", "", "nothing is sent after so many requests; empty: no limit", None, False
    ),
    Option("--max-cost-usd", "MAX_COST_USD", "", "nor after they cost so much; empty: no limit", None, False),
    Option("--usage-file", "USAGE_FILE", "", "set by run_tests.py: what all its processes have used up", None, False),
    Option("--prices-file", "PRICES_FILE", "", "prices of your own, for --max-cost-usd", in_web_ui=False),
    Option("--seed", "SEED", 1, "seed of arrivals and messages"),
    Option("--results-dir", "RESULTS_DIR", "", "where records go; default test_results/<time>-<file>"),
    Option("--include-failures", "INCLUDE_FAILURES", False, "count failures in latency statistics too"),
    Option("--record-responses", "RECORD_RESPONSES", False, "write prompts and answers to files, to replay them"),
    Option("--cell", "CELL", "", "name of this cell in the results directory", in_web_ui=False),
    Option("--ship-records", "SHIP_RECORDS", False, "workers send records to the master, also on its own machine"),
    Option("--load-id", "LOAD_ID", "", "set by the process that leads the test", in_web_ui=False),
    Option("--cell-dir", "CELL_DIR", "", "set by the process that leads the test", in_web_ui=False),
    Option("--stop-with-stdin", "STOP_WITH_STDIN", False, "end the test when standard input does", in_web_ui=False),
    Option("--run-id", "RUN_ID", "", "run this cell belongs to", in_web_ui=False),
)


def add_options(parser: Any) -> None:
    """Add the options to Locust's parser.

    Not in an argument group: grouped options never reach the web form (locust.md fact 18).
    """
    # Locust's own default is every interface, without a password.
    parser.set_defaults(web_host="127.0.0.1")
    for option in OPTIONS:
        kwargs: dict[str, Any] = {
            "env_var": option.env_var,
            "default": option.default,
            "help": option.help,
            "include_in_web_ui": option.in_web_ui,
        }
        if isinstance(option.default, bool):
            kwargs["action"] = "store_true"
        else:
            kwargs["type"] = type(option.default)
            kwargs["choices"] = option.choices
        parser.add_argument(option.flag, **kwargs)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Validated options of one test. Durations in seconds; `stages` are the open loop's, the closed loop has none.

    `user_pattern` is the closed loop's, and says nothing of the open one.
    """

    model_id: str
    routing: str
    sessions: str
    region_prefix: str | None
    service_tier: str
    prompt_size: str
    prompts_file: Path
    max_tokens: int
    system: SystemPrompt | None
    cache_system: bool
    latency: str | None
    stop_sequences: tuple[str, ...]
    request_metadata: Mapping[str, str]
    nonce: bool
    api: str
    transport: str
    target: str
    endpoint_url: str
    region: str
    stages: tuple[Stage, ...]
    user_pattern: UserPattern
    test_duration_s: float
    warmup_s: float
    think_time_s: tuple[float, float]
    max_lag_s: float
    max_slots: int
    drain_timeout_s: float
    call_timeout_s: float
    retry: str
    retry_attempts: int
    retry_delay_s: float
    failover_regions: tuple[str, ...]
    failover_cool_down_s: float
    failover_max_cool_down_s: float
    max_requests: int | None
    max_cost_usd: float | None
    usage_file: Path | None
    catalog: Catalog
    seed: int
    results_dir: str
    include_failures: bool
    record_responses: bool
    cell: str
    run_id: str

    @property
    def is_open_loop(self) -> bool:
        """Whether arrivals follow a schedule (open loop) or users wait for their answers (closed loop)."""
        return bool(self.stages)

    def schedule(self) -> Schedule:
        """All arrivals, warm-up included; open loop only."""
        return make_schedule(self.stages, self.warmup_s)

    def user_profile(self, users: int) -> UserProfile:
        """Users over time, warm-up included; closed loop only."""
        return self.user_pattern.profile(users, self.test_duration_s, self.warmup_s)

    def traces(self) -> list[Trace]:
        """The traces that are replayed."""
        return [replay.trace for replay in self.schedule().replays()] if self.stages else []


def read_options(namespace: Namespace) -> LoadOptions:
    """The validated form of Locust's parsed options; OptionsError names every problem at once."""
    reader = _Reader(namespace)
    stage = _one_stage(reader)
    stages, warmup_s = _stages(reader, stage)
    reader.problems += _without_effect(reader, stage, is_open=bool(stages) or bool(reader.problems))
    options = LoadOptions(
        model_id=reader.text("model_id"),
        routing=reader.text("routing"),
        sessions=reader.text("sessions"),
        region_prefix=reader.prefix("region_prefix"),
        service_tier=reader.choice("service_tier", SERVICE_TIERS),
        prompt_size=reader.choice("prompt_size", PROMPT_SIZES),
        prompts_file=Path(reader.text("prompts_file")),
        max_tokens=reader.parsed("max_tokens", _positive_int, 1),
        system=reader.parsed("system_prompt_file", _read_system_prompt, None),
        cache_system=bool(namespace.cache_system),
        latency=reader.latency("latency"),
        stop_sequences=reader.parsed(
            "stop_sequences", lambda text: check_stop_sequences(parse_stop_sequences(text)), ()
        ),
        request_metadata=reader.parsed("request_metadata", lambda text: check_metadata(parse_metadata(text)), {}),
        nonce=bool(namespace.nonce),
        api=reader.choice("api", APIS),
        transport=reader.choice("transport", TRANSPORTS),
        target=reader.choice("target", TARGETS),
        endpoint_url=reader.text("endpoint_url"),
        region=reader.text("region"),
        stages=stages,
        user_pattern=UserPattern(stage.pattern, stage.spike_factor, stage.spike_window, _steps(reader)),
        test_duration_s=reader.parsed("test_duration", _parse_test_duration_s, math.inf),
        warmup_s=warmup_s,
        think_time_s=reader.parsed("think_time", parse_duration_range_s, (0.5, 1.5)),
        max_lag_s=reader.parsed("max_lag", parse_duration_s, 1.0),
        max_slots=reader.parsed("max_slots", _count, 0),
        drain_timeout_s=reader.parsed("drain_timeout", parse_duration_s, 30.0),
        call_timeout_s=reader.parsed("call_timeout", parse_duration_s, 300.0),
        retry=reader.choice("retry", POLICIES),
        retry_attempts=reader.parsed("retry_attempts", _positive_int, 3),
        retry_delay_s=reader.parsed("retry_delay", parse_duration_s, 1.0),
        failover_regions=reader.names("failover_regions"),
        failover_cool_down_s=reader.parsed("failover_cool_down", _parse_some_time_s, 60.0),
        failover_max_cool_down_s=reader.parsed("failover_max_cool_down", _parse_some_time_s, 600.0),
        max_requests=reader.parsed("max_requests", lambda text: _count(text) if text else None, None),
        max_cost_usd=reader.parsed("max_cost_usd", _parse_cost_usd, None),
        usage_file=reader.parsed("usage_file", _parse_usage_file, None),
        catalog=reader.parsed("prices_file", _catalog_with, default_catalog()),
        seed=reader.parsed("seed", int, 1),
        results_dir=reader.text("results_dir"),
        include_failures=bool(namespace.include_failures),
        record_responses=bool(namespace.record_responses),
        cell=reader.text("cell"),
        run_id=reader.text("run_id"),
    )
    if not reader.problems:
        reader.attempt("pattern", options.schedule if options.is_open_loop else lambda: options.user_profile(users=1))
    if options.failover_cool_down_s > options.failover_max_cool_down_s:
        reader.problems.append("--failover-cool-down: must not be longer than --failover-max-cool-down")
    if options.cache_system and not reader.text("system_prompt_file"):
        reader.problems.append("--cache-system: needs a system prompt: give --system-prompt-file too")
    if options.cache_system and options.nonce:
        reader.problems.append("--nonce: cannot be combined with --cache-system; give one of them, not both")
    if reader.problems:
        raise OptionsError(list(dict.fromkeys(reader.problems)))
    return options


def _stages(reader: "_Reader", stage: Stage) -> tuple[tuple[Stage, ...], float]:
    """The open loop's stages, none where nothing says how much arrives (a closed loop); the warm-up in seconds."""
    stages_file = reader.text("stages_file")
    warmup_s = reader.parsed("warmup", parse_duration_s, 0.0)
    alone = (stage,) if stage.pattern == REPLAY or stage.rate_rps is not None else ()
    if not stages_file:
        return alone, warmup_s
    if alone:
        reader.problems.append("--stages-file: cannot be combined with a rate or a trace; give one of them")
    read = reader.attempt("stages_file", lambda: read_stages(Path(stages_file).absolute()))
    if read is None or read.warmup_s is None:
        return (() if read is None else read.stages), warmup_s
    if warmup_s:
        reader.problems.append("--warmup: the file of stages has a warmup as well; give one of them")
    return read.stages, read.warmup_s


def _without_effect(reader: "_Reader", stage: Stage, *, is_open: bool) -> Iterator[str]:
    """Options that somebody gave and nothing would come of: the load would not be the one that they meant.

    The orchestrator's cells, which have a run id, give them all.
    """
    if reader.text("run_id"):
        return
    if reader.text("trace_file") and stage.pattern != REPLAY:
        yield f"--trace-file: has no effect with the pattern {stage.pattern}: give --pattern {REPLAY} too"
    if stage.burstiness != 1.0 and stage.process != "gamma":
        yield f"--burstiness: has no effect on {stage.process} arrivals: give --arrival-process gamma too"
    elif stage.process != "poisson" and not is_open:
        yield "--arrival-process: has no effect on users that wait for their answers: give --rate too"
    if stage.start_rps and stage.pattern not in ("ramp", "steps"):
        yield f"--start-rate: has no effect with the pattern {stage.pattern}: it is of ramp and steps"
    if reader.text("step_rates") and stage.pattern != "steps":
        yield f"--step-rates: has no effect with the pattern {stage.pattern}: give --pattern steps too"
    if reader.text("stages_file"):
        given = [name for name in ("pattern", "test_duration") if reader.text(name) not in ("", "sustained")]
        yield from (f"--{name.replace('_', '-')}: has no effect beside --stages-file" for name in given)


def _steps(reader: "_Reader") -> int:
    return reader.parsed("steps", _step_count, DEFAULT_STEPS)


def _one_stage(reader: "_Reader") -> Stage:
    """What the options say of one stage, of a closed loop too: then it has no rate."""
    pattern = reader.choice("pattern", PATTERNS)
    rate_rps = reader.parsed("rate", lambda text: parse_rate_rps(text) if text else None, None)
    start_rps = reader.parsed("start_rate", lambda text: parse_start_rate_rps(text) if text else None, None)
    listed: tuple[float, ...] = reader.parsed("step_rates", _parse_rates_rps, ())
    test_duration_s = reader.parsed("test_duration", _parse_test_duration_s, math.inf)
    levels = listed if listed or rate_rps is None else step_levels(rate_rps, _steps(reader), start_rps)
    return Stage(
        pattern=pattern,
        rate_rps=max(levels, default=None) if pattern == "steps" else rate_rps,
        duration_s=None if math.isinf(test_duration_s) else test_duration_s,
        process=reader.choice("arrival_process", PROCESSES),
        burstiness=reader.parsed("burstiness", _burstiness, 1.0),
        start_rps=start_rps or 0.0,
        levels_rps=levels if pattern == "steps" else (),
        spike_factor=reader.parsed("spike_factor", float, 10.0),
        spike_window=reader.parsed("spike_window", _parse_window, (0.4, 0.6)),
        trace=reader.text("trace_file") or None if pattern == REPLAY else None,
        trace_speed=reader.parsed("trace_speed", float, 1.0),
    )


class _Reader:
    """Reads values one by one and collects what is wrong with them."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self.problems: list[str] = []

    def text(self, name: str) -> str:
        return str(getattr(self._namespace, name)).strip()

    def choice(self, name: str, choices: Iterable[str]) -> str:
        value = self.text(name)
        if value not in choices:
            self._add(name, f"{value!r} is not one of {', '.join(choices)}{_hint(value, choices)}")
        return value

    def latency(self, name: str) -> str | None:
        value = self.choice(name, (NO_LATENCY, *LATENCIES))
        return None if value == NO_LATENCY else value

    def prefix(self, name: str) -> str | None:
        value = self.text(name)
        return None if value in ("", NO_PREFIX) else self.choice(name, (*PROFILE_PREFIXES, NO_PREFIX))

    def names(self, name: str) -> tuple[str, ...]:
        found = tuple(part.strip() for part in self.text(name).split(",") if part.strip())
        if len(set(found)) != len(found):
            self._add(name, "each region once")
        return found

    def parsed(self, name: str, parse: Callable[[str], T], fallback: T) -> T:
        result = self.attempt(name, lambda: parse(self.text(name)))
        return fallback if result is None else result

    def attempt(self, name: str, action: Callable[[], T]) -> T | None:
        try:
            return action()
        except ScenarioError as error:
            self.problems += map(str, error.problems)
        except (UnitError, PatternError, PricesError, ProblemsError, RequestValueError) as error:
            self._add(name, str(error))
        except ValueError:
            self._add(name, f"{self.text(name)!r} is not a number")
        return None

    def _add(self, name: str, problem: str) -> None:
        self.problems.append(f"--{name.replace('_', '-')}: {problem}")


def _hint(value: str, choices: Iterable[str]) -> str:
    close = difflib.get_close_matches(value, list(choices), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _read_system_prompt(file: str) -> SystemPrompt | None:
    return read_system_prompt(Path(file).expanduser()) if file else None


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise UnitError(f"{text} must be at least 1")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise UnitError(f"{text} must be at least 0")
    return value


def _catalog_with(file: str) -> Catalog:
    return catalog_with(Path(file).expanduser() if file else None)


def _parse_usage_file(text: str) -> Path | None:
    path = Path(text) if text else None
    if path is not None and not path.is_file():
        raise ValueError("there is no such file")
    return path


def _parse_cost_usd(text: str) -> float | None:
    """USD; None for no limit, which the environment may say in words."""
    if text in ("", NO_LIMIT):
        return None
    value = float(text)
    if not 0.0 <= value < math.inf:
        raise UnitError(f"{text} is not an amount in USD")
    return value


def _step_count(text: str) -> int:
    count = _positive_int(text)
    if count > MAX_STEPS:
        raise UnitError(f"{text} must be at most {MAX_STEPS}")
    return count


def _parse_rates_rps(text: str) -> tuple[float, ...]:
    rates = tuple(parse_start_rate_rps(item) for item in text.split(",")) if text else ()
    if len(rates) > MAX_STEPS or (rates and max(rates) <= 0.0):
        raise UnitError(f"there must be at most {MAX_STEPS} steps, and one of them above 0/s")
    return rates


def _burstiness(text: str) -> float:
    value, (low, high) = float(text), BURSTINESS_RANGE
    if not low <= value <= high:
        raise UnitError(f"{text} must lie between {low:g} and {high:g}")
    return value


def _parse_test_duration_s(text: str) -> float:
    return parse_duration_s(text, bare_unit="s") if text else math.inf


def _parse_some_time_s(text: str) -> float:
    seconds = parse_duration_s(text)
    if seconds <= 0.0:
        raise UnitError(f"{text!r} must be longer than 0s")
    return seconds


def _parse_window(text: str) -> tuple[float, float]:
    start, _, end = text.partition("-")
    return parse_share(start), parse_share(end)
