"""Objectives: what a run must achieve, written as a person says it and checked against the metrics there are.

    ttft_ms p95 < 400ms
    e2e_ms p95 < 1500ms where output_tokens < 500
    sla_compliance >= 99%
    throttle_rate <= 1% for service_tier=priority
    cost_per_request_usd <= $0.002 with min_samples=500

`where` keeps requests by a number of theirs and applies to per-request metrics alone: an attempt that failed has no
output tokens, so a `where` on a rate would leave out the failures that the rate counts. `for` keeps a part of the
traffic by something known before it is sent, and applies to every metric. `with` sets `min_samples` (below it the
objective is inconclusive) and `on_fail` (`continue`, or `abort` to stop the run early).
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scenarios.objective_units import QUANTITIES, ObjectiveError, format_number, parse_number, suggestion

__all__ = [
    "FOR_KEYS", "METRICS", "WHERE_FIELDS", "Condition", "Objective", "ObjectiveError", "parse_objective", "quantile_of",
]  # fmt: skip

#: Metric -> kind of quantity (see `scenarios.objective_units`).
METRICS: Mapping[str, str] = {
    "ttft_ms": "milliseconds",
    "first_answer_ms": "milliseconds",
    "service_ttft_ms": "milliseconds",
    "e2e_ms": "milliseconds",
    "service_e2e_ms": "milliseconds",
    "tpot_ms": "milliseconds",
    "gap_ms": "milliseconds",
    "send_lag_ms": "milliseconds",
    "output_tokens_per_s": "tokens per second",
    "input_tokens": "tokens",
    "output_tokens": "tokens",
    "throttle_rate": "share",
    "error_rate": "share",
    "sla_compliance": "share",
    "offered_rps": "rate",
    "achieved_rps": "rate",
    "goodput_rps": "rate",
    "cost_usd": "money",
    "cost_per_request_usd": "money",
    "cost_per_good_request_usd": "money",
    "projected_daily_cost_usd": "money",
    "projected_monthly_cost_usd": "money",
}

#: Kinds that every request has a value of: they need a statistic, the others take none.
PER_REQUEST_KINDS = frozenset({"milliseconds", "tokens per second", "tokens"})

#: Fields a `where` may compare: the numbers of one request.
WHERE_FIELDS = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "max_tokens", "attempt", "ttft_ms",
    "first_answer_ms", "service_ttft_ms", "e2e_ms", "service_e2e_ms", "tpot_ms", "gap_ms", "send_lag_ms",
    "output_tokens_per_s",
)  # fmt: skip

#: Parts of the traffic a `for` may name.
FOR_KEYS = (
    "cell", "model", "service_tier", "prompt_size", "query_type", "language", "complexity", "phase", "api", "region",
    "region_prefix", "pattern", "users", "rate_rps",
)  # fmt: skip

#: A percentile from here on is a promise to the single request: all but a few are to keep it.
_PROMISED_SHARE = 0.9

ON_FAIL = ("continue", "abort")

COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_HEAD = re.compile(r"^\s*(?P<metric>[^\s<>=!]+)(?:\s+(?P<stat>[^<>=!]+?))?\s*(?P<op>[<>=!]+)\s*(?P<limit>.+?)\s*$")
_CONDITION = re.compile(r"^\s*(?P<field>[^\s<>=!]+)\s*(?P<op>[<>=!]+)\s*(?P<value>.+?)\s*$")
_CLAUSE = re.compile(r"\s+(where|for|with)\s+")
_QUANTILE = re.compile(r"^p(\d{1,2}(?:[._]\d+)?)$")
_STAT_ALIASES = {"median": "p50", "average": "mean", "avg": "mean"}
_STATS = "mean, max, p50, p90, p95, p99, p99.9, or any other percentile such as p80"
_TEXT_KEYS = ("objective", "min_samples", "on_fail")
_PART_KEYS = ("metric", "stat", "op", "limit", "where", "for", "min_samples", "on_fail")


@dataclass(frozen=True, slots=True)
class Condition:
    """Keeps requests whose `field` compares so with `value` (in the field's own unit)."""

    field: str
    op: str
    value: float

    @property
    def text(self) -> str:
        """`output_tokens < 500`."""
        return f"{self.field} {self.op} {format_number(self.value)}"


@dataclass(frozen=True, slots=True)
class Objective:
    """One promise: `metric` (its `stat`, where requests have one each) compared with `limit`.

    `limit` is in the metric's internal unit: ms, tokens, tokens/s, a fraction of 1, 1/s or USD. `min_samples` None
    leaves the number to the evaluation, which asks for as many as the statistic can be told from.
    """

    metric: str
    stat: str | None
    op: str
    limit: float
    scope: Mapping[str, str] = field(default_factory=dict, hash=False)
    where: tuple[Condition, ...] = ()
    min_samples: int | None = None
    on_fail: str = "continue"

    @property
    def kind(self) -> str:
        """What sort of quantity the metric is: `milliseconds`, `share`, ..."""
        return METRICS[self.metric]

    @property
    def per_request(self) -> bool:
        """Whether every request has a value of the metric."""
        return self.kind in PER_REQUEST_KINDS

    @property
    def limits_one_request(self) -> bool:
        """Whether the objective promises something to (nearly) every single request.

        A maximum and a percentile from the 90th on do, or, for a lower limit, one down from the 10th. A mean is
        nobody's own, and half of the requests miss a median that is kept.
        """
        if not self.per_request:
            return False
        q = quantile_of(self.stat or "")
        if self.op in ("<", "<="):
            return self.stat == "max" or (q is not None and q >= _PROMISED_SHARE)
        return q is not None and q <= 1.0 - _PROMISED_SHARE

    @property
    def limit_text(self) -> str:
        """The limit as people write it: `400ms`, `99%`, `$0.002`."""
        return QUANTITIES[self.kind].format(self.limit)

    @property
    def text(self) -> str:
        """The whole objective; `parse_objective` of it gives the same objective."""
        head = " ".join(part for part in (self.metric, self.stat, self.op, self.limit_text) if part)
        return head + self._where_text() + self._for_text() + self._with_text()

    def met_by(self, value: Any) -> Any:
        """Whether a value (or each of an array) meets the limit."""
        return COMPARISONS[self.op](value, self.limit)

    def _where_text(self) -> str:
        return " where " + " and ".join(condition.text for condition in self.where) if self.where else ""

    def _for_text(self) -> str:
        return " for " + ", ".join(f"{key}={value}" for key, value in self.scope.items()) if self.scope else ""

    def _with_text(self) -> str:
        options = []
        if self.min_samples is not None:
            options.append(f"min_samples={self.min_samples}")
        if self.on_fail != "continue":
            options.append(f"on_fail={self.on_fail}")
        return " with " + ", ".join(options) if options else ""


def quantile_of(stat: str) -> float | None:
    """The quantile of `p95` (0.95) or `p99.9` (0.999); None if the statistic is no percentile."""
    match = _QUANTILE.match(stat)
    return None if match is None else float(match[1].replace("_", ".")) / 100.0


def parse_objective(given: str | Mapping[str, Any]) -> Objective:
    """The objective of a text, or of a mapping with either `objective` (the text) or its parts.

    Mappings: `{objective: "ttft_ms p95 < 400ms", min_samples: 200, on_fail: abort}` or
    `{metric: ttft_ms, stat: p95, op: "<", limit: 400ms, where: ..., for: {service_tier: flex}}`.
    ObjectiveError says in plain words what is wrong and what would be right.
    """
    if isinstance(given, str):
        return _parse_text(given)
    if isinstance(given, Mapping):
        return _parse_text(_text_of_mapping(given))
    raise ObjectiveError(f"An objective is a text like 'ttft_ms p95 < 400ms' or a mapping, not {given!r}.")


def _text_of_mapping(given: Mapping[str, Any]) -> str:
    keys = _TEXT_KEYS if "objective" in given else _PART_KEYS
    for key in given:
        if key not in keys:
            raise ObjectiveError(f"Unknown key {key!r} in an objective.{suggestion(str(key), keys)}")
    text = str(given["objective"]) if "objective" in given else _text_of_parts(given)
    options = [f"{key}={given[key]}" for key in ("min_samples", "on_fail") if given.get(key) is not None]
    joint = ", " if re.search(r"\swith\s", text) else " with "
    return text + joint + ", ".join(options) if options else text


def _text_of_parts(given: Mapping[str, Any]) -> str:
    missing = [key for key in ("metric", "op", "limit") if given.get(key) is None]
    if missing:
        said = " ".join(_plain(value) for value in given.values())
        raise ObjectiveError(f"The objective {said!r} lacks {' and '.join(missing)}: add `{missing[0]}: ...`.")
    text = " ".join(_plain(given[key]) for key in ("metric", "stat", "op", "limit") if given.get(key) is not None)
    where, scope = given.get("where"), given.get("for")
    if where:
        text += " where " + (where if isinstance(where, str) else " and ".join(map(str, where)))
    if scope:
        text += " for " + (scope if isinstance(scope, str) else ", ".join(f"{k}={v}" for k, v in scope.items()))
    return text


def _plain(value: Any) -> str:
    return format_number(value) if isinstance(value, float) else str(value)


def _parse_text(text: str) -> Objective:
    head, *rest = _CLAUSE.split(text.strip())
    clauses = dict(zip(rest[::2], rest[1::2], strict=True))
    if len(clauses) * 2 != len(rest):
        raise ObjectiveError(f"{text!r} has two clauses of the same kind: join them with 'and' or a comma.")
    metric, stat, op, limit = _parse_head(head)
    where = tuple(_parse_condition(part) for part in _split(clauses.get("where"), r"\s+and\s+|,\s+"))
    if where and METRICS[metric] not in PER_REQUEST_KINDS:
        raise ObjectiveError(
            f"{metric} takes no 'where': attempts that failed have no {where[0].field}, and leaving them out would "
            f"hide them. Use 'for' with one of: {', '.join(FOR_KEYS)}."
        )
    options = dict(_parse_pair(part, _OPTIONS) for part in _split(clauses.get("with"), r"\s+and\s+|,"))
    return Objective(
        metric=metric,
        stat=stat,
        op=op,
        limit=limit,
        where=where,
        scope=dict(_parse_pair(part, FOR_KEYS) for part in _split(clauses.get("for"), r"\s+and\s+|,")),
        min_samples=_parse_min_samples(options.get("min_samples")),
        on_fail=_parse_on_fail(options.get("on_fail", "continue")),
    )


_OPTIONS = ("min_samples", "on_fail")


def _split(clause: str | None, separator: str) -> list[str]:
    return [] if clause is None else re.split(separator, clause)


def _parse_head(head: str) -> tuple[str, str | None, str, float]:
    match = _HEAD.match(head)
    if match is None:
        raise ObjectiveError(
            f"{head!r} is not an objective: write a metric, a statistic, a comparison and a limit, "
            "like 'ttft_ms p95 < 400ms' or 'sla_compliance >= 99%'."
        )
    metric = match["metric"]
    if metric not in METRICS:
        raise ObjectiveError(f"Unknown metric {metric!r} in {head!r}.{suggestion(metric, METRICS)}")
    stat, op = _parse_stat(metric, match["stat"]), _parse_op(match["op"], head)
    limit = QUANTITIES[METRICS[metric]].parse(match["limit"])
    _refuse_idle_limit(metric, op, limit, head)
    return metric, stat, op, limit


def _refuse_idle_limit(metric: str, op: str, limit: float, text: str) -> None:
    """Refuse a limit that nothing can miss: it would always pass, and look like a promise."""
    is_share = METRICS[metric] == "share"
    if is_share and op in ("<", "<=") and limit >= 1.0:
        raise ObjectiveError(
            f"{text!r} cannot fail: a share is never above 100%. Write {metric} {op} 1% for one percent."
        )
    if op in (">", ">=") and limit <= 0.0:
        example = f" Write a limit above it, like {metric} {op} 99%." if is_share else " Write a limit above it."
        raise ObjectiveError(f"{text!r} cannot fail: {metric} is never below 0.{example}")


def _parse_stat(metric: str, stat: str | None) -> str | None:
    if METRICS[metric] not in PER_REQUEST_KINDS:
        if stat is not None:
            raise ObjectiveError(f"{metric} takes no statistic: drop {stat!r}.")
        return None
    if stat is None:
        raise ObjectiveError(f"{metric} needs a statistic: {_STATS}.")
    named = _STAT_ALIASES.get(stat.lower(), stat.lower()).replace("_", ".")
    if named in ("mean", "max") or 0.0 < (quantile_of(named) or 0.0) < 1.0:
        return named
    raise ObjectiveError(f"Unknown statistic {stat!r} of {metric}: use {_STATS}.")


def _parse_op(op: str, text: str) -> str:
    if op not in COMPARISONS:
        raise ObjectiveError(f"{op!r} in {text!r} is no comparison: use one of {', '.join(COMPARISONS)}.")
    return op


def _parse_condition(text: str) -> Condition:
    match = _CONDITION.match(text)
    if match is None:
        raise ObjectiveError(f"{text!r} is not a condition: write it like 'output_tokens < 500'.")
    name = match["field"]
    if name not in WHERE_FIELDS:
        raise ObjectiveError(f"Unknown field {name!r} after 'where'.{suggestion(name, WHERE_FIELDS)}")
    kind = METRICS.get(name, "tokens")
    return Condition(name, _parse_op(match["op"], text), QUANTITIES[kind].parse(match["value"]))


def _parse_pair(text: str, keys: Iterable[str]) -> tuple[str, str]:
    key, _, value = (part.strip() for part in text.partition("="))
    if not value:
        raise ObjectiveError(f"{text.strip()!r} is not of the form key=value.")
    if key not in keys:
        raise ObjectiveError(f"Unknown key {key!r} in {text.strip()!r}.{suggestion(key, keys)}")
    return key, value


def _parse_min_samples(text: str | None) -> int | None:
    if text is None:
        return None
    number = parse_number(text)
    if number is None or number < 1 or number != int(number):
        raise ObjectiveError(f"min_samples is a whole number of at least 1, not {text!r}.")
    return int(number)


def _parse_on_fail(text: str) -> str:
    if text not in ON_FAIL:
        raise ObjectiveError(f"on_fail is one of {', '.join(ON_FAIL)}, not {text!r}.")
    return text
