"""The flags of `run` and `plan`: what each sets, its environment variables, how its text is read."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedrock.yaml_documents import KeyPath
from orchestrator.webhook import read_webhook_url
from scenarios.field_types import NO_LIMIT, did_you_mean
from scenarios.request_values import parse_metadata, parse_stop_sequences
from scenarios.units import parse_share

FAIL_ON = ("sla", "regression", "both", "never")
FORMATS = ("text", "json")
DEFAULT_REGION = "us-east-1"

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")

#: Cells beside the cross product belong to the dimensions they were written for.
_INCLUDE: KeyPath = ("matrix", "include")

#: What says in a scenario's load how much arrives.
_AMOUNTS: tuple[KeyPath, ...] = (("load", "rate"), ("load", "step_rates"), ("load", "stages"))


def _text(text: str) -> str:
    return text.strip()


def _items(text: str) -> list[str]:
    """Items of a comma list."""
    items = [item.strip() for item in text.split(",")]
    if not all(items):
        raise ValueError(f"{text!r} is not a comma list, like a,b,c")
    return items


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?\d+", text.strip()):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def _counts(text: str) -> list[int]:
    return [_whole(item) for item in _items(text)]


def _duration(text: str) -> str:
    """A duration as a scenario writes it; a bare number is seconds."""
    return f"{text.strip()}s" if re.fullmatch(r"\d+(\.\d+)?", text.strip()) else text


def _cost(text: str) -> float | str:
    if text.strip().lower() == NO_LIMIT:
        return NO_LIMIT
    try:
        return float(text.strip().lstrip("$"))
    except ValueError:
        raise ValueError(f"{text!r} is not an amount in USD: write 2.50, or none for no limit") from None


def _switch(text: str) -> bool:
    value = text.strip().lower()
    if value not in (*_TRUE, *_FALSE):
        raise ValueError(f"{text!r} is neither yes nor no")
    return value in _TRUE


def _path(text: str) -> Path:
    if not text.strip():
        raise ValueError("an empty name is no directory")
    return Path(text).expanduser()


def _results(text: str) -> Path:
    """A results directory, with links followed now: `test_results/latest` will soon be this run."""
    return _path(text).resolve()


def _share(text: str) -> str:
    parse_share(text)
    return text.strip()


def _choice(options: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        value = text.strip()
        if value not in options:
            raise ValueError(f"{value!r} is not one of {', '.join(options)}.{did_you_mean(value, options)}")
        return value

    return parse


#: Reads the value of `--format`; ValueError with the reason.
read_format = _choice(FORMATS)


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. `path` is the scenario value it sets, empty for a setting of the run alone.

    `displaces` are scenario values that lose their meaning by it; `*` in a path is every item of a list.
    """

    text: str
    parse: Callable[[str], Any]
    help: str
    metavar: str | None = None
    path: KeyPath = ()
    displaces: tuple[KeyPath, ...] = ()
    more_env_vars: tuple[str, ...] = ()
    default: Any = None
    short: str | None = None
    option: str | None = None
    in_listing: bool = True
    #: Whether it takes away a safety catch: then nobody is ever sent to it who meant something else.
    is_dangerous: bool = False
    #: Whether its value must not be recorded or shown anywhere.
    is_secret: bool = False

    @property
    def name(self) -> str:
        """Name of the value in Python: `--user-counts` is `user_counts`."""
        return self.option or self.text.removeprefix("--").replace("-", "_")

    @property
    def env_vars(self) -> tuple[str, ...]:
        """Environment variables that set it, the first one that is set wins."""
        return (self.text.removeprefix("--").replace("-", "_").upper(), *self.more_env_vars)

    @property
    def is_switch(self) -> bool:
        """Whether the flag takes no value."""
        return self.metavar is None


SCENARIO_FLAGS = (
    Flag("--target", _text, "emulator (costs nothing) or aws", "NAME", ("target",)),
    Flag("--transport", _text, "how calls are made: wire or boto3", "NAME", ("transport",)),
    Flag(
        "--api",
        _text,
        "converse_stream, converse, invoke_model_stream or invoke_model",
        "NAME",
        ("api",),
        (("matrix", "apis"), (*_INCLUDE, "*", "api")),
    ),
    Flag(
        "--model-id",
        _items,
        "base model ids or ARNs, a comma list makes a dimension; one model for all traffic",
        "ID,...",
        ("matrix", "models"),
        (("model_id",), ("routing",), ("traffic",), _INCLUDE),
        ("BASE_MODEL_ID",),
    ),
    Flag(
        "--routing",
        _text,
        "the MangaAssist mix with its routes: reference, current, nova or a file",
        "NAME",
        ("routing",),
        (("model_id",), ("matrix", "models"), ("traffic",), _INCLUDE),
    ),
    Flag("--sessions", _text, "conversations instead of single messages: mangaassist or a file", "NAME", ("sessions",)),
    Flag(
        "--region-prefixes",
        _items,
        "inference profile prefixes; none is the base model id",
        "P,...",
        ("matrix", "region_prefixes"),
        (_INCLUDE,),
    ),
    Flag(
        "--service-tiers",
        _items,
        "service tiers to ask for",
        "TIER,...",
        ("matrix", "service_tiers"),
        (_INCLUDE,),
    ),
    Flag(
        "--prompt-sizes",
        _items,
        "small, medium, large; mixed for the mix's own",
        "SIZE,...",
        ("matrix", "prompt_sizes"),
        (_INCLUDE,),
    ),
    Flag(
        "--user-counts",
        _counts,
        "numbers of users: closed loop",
        "N,...",
        ("matrix", "user_counts"),
        (("matrix", "rates"), *_AMOUNTS, ("load", "users"), ("load", "model"), _INCLUDE),
    ),
    Flag(
        "--rates",
        _items,
        "arrival rates, like 5/s,10/s: open loop",
        "R/s,...",
        ("matrix", "rates"),
        (("matrix", "user_counts"), *_AMOUNTS, ("load", "users"), ("load", "model"), _INCLUDE),
    ),
    Flag(
        "--patterns",
        _items,
        "shapes of the rate, or of the users, over the duration",
        "NAME,...",
        ("matrix", "patterns"),
        (("load", "pattern"), ("load", "stages"), _INCLUDE),
    ),
    Flag("--arrival-process", _text, "spacing of arrivals: poisson, constant or gamma", "NAME", ("load", "process")),
    Flag("--burstiness", _number, "of gamma: 1 is poisson, below it arrivals cluster", "N", ("load", "burstiness")),
    Flag("--start-rate", _text, "where ramp and steps begin, like 2/s", "R/s", ("load", "start_rate")),
    Flag("--steps", _whole, "number of equal steps up to the rate", "N", ("load", "steps"), (("load", "step_rates"),)),
    Flag(
        "--trace-file",
        _text,
        "CSV or JSONL file with the time of each message, for the pattern replay",
        "FILE",
        ("load", "trace"),
        (("load", "stages"), _INCLUDE),
    ),
    Flag("--trace-speed", _number, "how many times as fast a trace is replayed", "N", ("load", "trace_speed")),
    Flag(
        "--test-duration",
        _duration,
        "measured time per cell, like 1m; a bare number is seconds",
        "TIME",
        ("load", "duration"),
        ((*_INCLUDE, "*", "duration"), ("load", "step_duration")),
    ),
    Flag("--warmup", _text, "unmeasured time before it", "TIME", ("load", "warmup"), ((*_INCLUDE, "*", "warmup"),)),
    Flag("--spawn-rate", _text, "users started a second", "N", ("load", "spawn_rate")),
    Flag(
        "--max-tokens",
        _whole,
        "most output tokens of an answer",
        "N",
        ("max_tokens",),
        ((*_INCLUDE, "*", "max_tokens"),),
    ),
    Flag("--prompts-file", _text, "prompt library instead of prompts.json", "FILE", ("prompts_file",)),
    Flag("--system-prompt-file", _text, "system prompt of every request", "FILE", ("request", "system_file")),
    Flag("--cache-system", _switch, "cache point behind the system prompt", path=("request", "cache_system")),
    Flag("--latency", _text, "standard or optimized, asked for in every request", "NAME", ("request", "latency")),
    Flag(
        "--stop-sequences",
        parse_stop_sequences,
        "texts that end an answer: with commas, or a JSON list",
        "TEXT,...",
        ("request", "stop_sequences"),
    ),
    Flag(
        "--request-metadata",
        parse_metadata,
        "for the account's invocation logs: with commas, or a JSON object",
        "KEY=VALUE,...",
        ("request", "metadata"),
    ),
    Flag("--nonce", _switch, "begin every request with random digits: no prompt cache", path=("request", "nonce")),
    Flag("--rounds", _whole, "how often the suite is repeated", "N", ("order", "rounds")),
    Flag(
        "--parallel-cells",
        _whole,
        "how many cells run at once, of other models or regions",
        "N",
        ("order", "parallel_cells"),
    ),
    Flag("--cool-down", _text, "pause between cells, like 60s", "TIME", ("order", "cool_down")),
    Flag("--processes", _whole, "Locust processes per cell", "N", ("processes",)),
    Flag("--seed", _whole, "seed of arrivals, messages and the emulator", "N", ("seed",)),
    Flag("--max-cost-usd", _cost, "stop at this cost; none for no limit", "USD", ("budget", "max_cost_usd")),
    Flag("--max-requests", _whole, "stop after so many requests", "N", ("budget", "max_requests")),
)

RUN_ONLY = (
    Flag("--endpoint-url", _text, "load this endpoint; no emulator is started", "URL"),
    Flag(
        "--region",
        _text,
        "AWS region",
        "NAME",
        displaces=(("matrix", "regions"), (*_INCLUDE, "*", "region")),
        more_env_vars=("AWS_REGION", "AWS_DEFAULT_REGION"),
        default=DEFAULT_REGION,
    ),
    Flag("--prices-file", _path, "prices of your own, laid over the catalogue's; see prices --refresh", "FILE"),
    Flag("--results-dir", _path, "where everything is written; default test_results/<time>-<scenario>", "DIR"),
    Flag("--include-failures", _switch, "count failed requests in latency statistics too", default=False),
    Flag("--record-responses", _switch, "write prompts and answers to files, to replay them", default=False),
    Flag("--baseline", _results, "results directory of an earlier run to compare with", "DIR"),
    Flag(
        "--fail-on",
        _choice(FAIL_ON),
        "exit 1 when an objective fails (sla), a figure is worse than in the baseline (regression), both or never",
        "WHAT",
        default="both",
    ),
    Flag(
        "--regression-threshold",
        _share,
        "change of a latency that counts as a regression, if it is also more than chance",
        "SHARE",
        default="10%",
    ),
    Flag(
        "--no-charts",
        _switch,
        "write the report without its charts: faster; report DIR draws them later",
        default=False,
        in_listing=False,
    ),
    Flag(
        "--resume",
        _switch,
        "go on with an earlier run: keep its finished cells, run the others",
        default=False,
        in_listing=False,
    ),
    Flag(
        "--force",
        _switch,
        "replace the results that are in --results-dir",
        default=False,
        in_listing=False,
        is_dangerous=True,
    ),
    Flag(
        "--webhook-url",
        read_webhook_url,
        "post the result to this address, as Slack takes it; better given as the variable, for it is a secret",
        "URL",
        in_listing=False,
        is_secret=True,
    ),
    Flag("--dry-run", _switch, "print the plan and send nothing, like plan", default=False, in_listing=False),
    Flag(
        "--format",
        read_format,
        "text or json on stdout",
        "FORMAT",
        default="text",
        option="output_format",
        in_listing=False,
    ),
    Flag(
        "--yes",
        _switch,
        "do not ask before paid traffic",
        default=False,
        short="-y",
        option="assume_yes",
        in_listing=False,
        is_dangerous=True,
    ),
)


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command without the flags whose values are secrets."""
    secret = [flag.text for flag in RUN_ONLY if flag.is_secret]
    return [
        text
        for before, text in zip(("", *arguments), arguments, strict=False)
        if before not in secret and text not in secret and text.partition("=")[0] not in secret
    ]
