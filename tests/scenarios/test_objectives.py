"""The objectives' grammar: what is understood, how it is shown back, and what a wrong one is told."""

import contextlib
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scenarios.objectives import (
    COMPARISONS,
    METRICS,
    PER_REQUEST_KINDS,
    Condition,
    Objective,
    ObjectiveError,
    parse_objective,
    quantile_of,
)  # fmt: skip

UNDERSTOOD = {
    "ttft_ms p95 < 400ms": Objective("ttft_ms", "p95", "<", 400.0),
    "e2e_ms p95 < 1500ms where output_tokens < 500": Objective(
        "e2e_ms", "p95", "<", 1500.0, where=(Condition("output_tokens", "<", 500.0),)
    ),
    "sla_compliance >= 99%": Objective("sla_compliance", None, ">=", 0.99),
    "throttle_rate <= 1% for service_tier=priority": Objective(
        "throttle_rate", None, "<=", 0.01, scope={"service_tier": "priority"}
    ),
    "error_rate <= 0.5%": Objective("error_rate", None, "<=", 0.005),
    "goodput_rps >= 12/s": Objective("goodput_rps", None, ">=", 12.0),
    "cost_per_request_usd <= $0.0005": Objective("cost_per_request_usd", None, "<=", 0.0005),
    "output_tokens_per_s p50 >= 60/s": Objective("output_tokens_per_s", "p50", ">=", 60.0),
    "input_tokens p80 < 2000": Objective("input_tokens", "p80", "<", 2000.0),
    "e2e_ms p99.9 < 3000ms where input_tokens >= 100 and output_tokens < 500 for language=ja, prompt_size=small "
    "with min_samples=5000, on_fail=abort": Objective(
        "e2e_ms", "p99.9", "<", 3000.0,
        where=(Condition("input_tokens", ">=", 100.0), Condition("output_tokens", "<", 500.0)),
        scope={"language": "ja", "prompt_size": "small"}, min_samples=5000, on_fail="abort",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "objective"), UNDERSTOOD.items())
def test_an_objective_is_understood_and_shown_back_in_full(text: str, objective: Objective) -> None:
    assert parse_objective(text) == objective
    assert objective.text == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ttft_ms p95 < 0.4s", "ttft_ms p95 < 400ms"),
        ("ttft_ms   p95<400", "ttft_ms p95 < 400ms"),
        ("ttft_ms median < 1m", "ttft_ms p50 < 60000ms"),
        ("e2e_ms p99_9 <= 2s", "e2e_ms p99.9 <= 2000ms"),
        ("e2e_ms avg <= 2s", "e2e_ms mean <= 2000ms"),
        ("sla_compliance >= 0.995", "sla_compliance >= 99.5%"),
        ("throttle_rate <= 7%", "throttle_rate <= 7%"),
        ("goodput_rps >= 600/min", "goodput_rps >= 10/s"),
        ("projected_monthly_cost_usd < 50,000 USD", "projected_monthly_cost_usd < $50000"),
        ("cost_usd < USD 1.50", "cost_usd < $1.5"),
        ("output_tokens max < 1,000 tokens", "output_tokens max < 1000"),
        ("e2e_ms p95 < 2s for language=ja where input_tokens < 1,200", None),
        ("ttft_ms p95 < 4ms for api=converse and language=ja", "ttft_ms p95 < 4ms for api=converse, language=ja"),
    ],
)  # fmt: skip
def test_other_spellings_come_out_in_one(text: str, shown: str | None) -> None:
    expected = shown or "e2e_ms p95 < 2000ms where input_tokens < 1200 for language=ja"

    assert parse_objective(text).text == expected


@pytest.mark.parametrize(
    ("given_mapping", "shown"),
    [
        ({"objective": "ttft_ms p95 < 400ms", "min_samples": 200, "on_fail": "abort"},
         "ttft_ms p95 < 400ms with min_samples=200, on_fail=abort"),
        ({"objective": "ttft_ms p95 < 400ms with min_samples=5", "on_fail": "abort"},
         "ttft_ms p95 < 400ms with min_samples=5, on_fail=abort"),
        ({"metric": "ttft_ms", "stat": "p95", "op": "<", "limit": 400}, "ttft_ms p95 < 400ms"),
        ({"metric": "cost_per_request_usd", "op": "<", "limit": 0.00005}, "cost_per_request_usd < $0.00005"),
        ({"metric": "e2e_ms", "stat": "p95", "op": "<", "limit": "1.5s", "where": ["output_tokens < 500"],
          "for": {"language": "ja"}, "min_samples": 100},
         "e2e_ms p95 < 1500ms where output_tokens < 500 for language=ja with min_samples=100"),
    ],
)  # fmt: skip
def test_mappings_mean_the_same_as_texts(given_mapping: dict[str, Any], shown: str) -> None:
    assert parse_objective(given_mapping).text == shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tftt_ms p95 < 400ms", r"Unknown metric 'tftt_ms'.*Did you mean ttft_ms\? Supported: ttft_ms, "),
        ("latency p95 < 400ms", "Unknown metric 'latency'.*Supported: "),
        ("ttft_ms < 400ms", "ttft_ms needs a statistic: mean, max, p50"),
        ("ttft_ms p100 < 400ms", "Unknown statistic 'p100'.*use mean, max, p50"),
        ("ttft_ms p0 < 400ms", "Unknown statistic 'p0'"),
        ("ttft_ms p95 p99 < 400ms", "Unknown statistic 'p95 p99'"),
        ("sla_compliance p95 >= 99%", "takes no statistic: drop 'p95'"),
        ("ttft_ms p95 == 400ms", "'==' .* is no comparison: use one of <, <=, >, >="),
        ("ttft_ms p95 < 400 furlongs", "is not a duration"),
        ("ttft_ms p95 < -3ms", "is not a duration"),
        ("sla_compliance >= 99", "must lie between 0% and 100%"),
        ("throttle_rate <= lots", "is not a share: write 40% or 0.4"),
        ("goodput_rps >= fast", "is not a rate"),
        ("cost_usd < 1 EUR", r"write it like \$0.002"),
        ("hello", "write a metric, a statistic, a comparison and a limit, like 'ttft_ms p95 < 400ms'"),
        ("", "is not an objective"),
        ("ttft_ms p95 < 400ms where output_token < 500", r"Unknown field 'output_token'.*Did you mean output_tokens\?"),
        ("ttft_ms p95 < 400ms where fast", "is not a condition"),
        ("throttle_rate <= 1% where output_tokens < 5", "takes no 'where': attempts that failed have no output_tokens"),
        ("throttle_rate <= 1% for tier=flex", "Unknown key 'tier' in 'tier=flex'.*Supported: cell, model, "),
        ("throttle_rate <= 1% for flex", "'flex' is not of the form key=value"),
        ("ttft_ms p95 < 4ms for language=ja for cell=a", "two clauses of the same kind"),
        ("ttft_ms p95 < 4ms with min_samples=0", "min_samples is a whole number of at least 1"),
        ("ttft_ms p95 < 4ms with min_samples=many", "min_samples is a whole number"),
        ("ttft_ms p95 < 4ms with on_fail=stop", "on_fail is one of continue, abort"),
        ({"objective": "ttft_ms p95 < 4ms", "minsamples": 3}, r"Unknown key 'minsamples'.*Did you mean min_samples\?"),
        ({"metric": "ttft_ms", "stat": "p95"}, "lacks op and limit"),
        (["ttft_ms p95 < 4ms"], "is a text like 'ttft_ms p95 < 400ms' or a mapping"),
        (400, "is a text like"),
    ],
)  # fmt: skip
def test_a_wrong_objective_is_told_what_would_be_right(text: Any, told: str) -> None:
    with pytest.raises(ObjectiveError, match=told):
        parse_objective(text)


numbers = st.decimals(0, 99999, places=3).map(float)


@given(
    st.sampled_from(sorted(METRICS)), st.sampled_from(sorted(COMPARISONS)), numbers, st.none() | st.integers(1, 9999)
)
def test_whatever_is_shown_reads_back_as_the_same_objective(
    metric: str, op: str, limit: float, min_samples: int | None
) -> None:
    kind = METRICS[metric]
    value = round(limit % 1.0, 3) if kind == "share" else limit
    assume(value > 0.0 or op in ("<", "<="))  # a lower limit of 0 is refused
    given_objective = Objective(
        metric, "p95" if kind in PER_REQUEST_KINDS else None, op, value, {"language": "ja"}, min_samples=min_samples
    )

    assert parse_objective(given_objective.text) == given_objective


@given(st.text(max_size=60))
def test_no_text_makes_the_parser_fail_otherwise(text: str) -> None:
    with contextlib.suppress(ObjectiveError):
        assert parse_objective(text).metric in METRICS


@pytest.mark.parametrize(
    ("stat", "q"), [("p50", 0.5), ("p99.9", 0.999), ("p99_9", 0.999), ("p5", 0.05), ("mean", None)]
)
def test_statistics_name_quantiles(stat: str, q: float | None) -> None:
    assert quantile_of(stat) == (None if q is None else pytest.approx(q))


@pytest.mark.parametrize(
    ("text", "one_request"),
    [
        ("ttft_ms p95 < 400ms", True), ("e2e_ms max < 400ms", True), ("e2e_ms mean < 400ms", False),
        ("throttle_rate <= 1%", False), ("cost_usd < $1", False), ("ttft_ms p50 < 400ms", False),
        ("ttft_ms p90 < 400ms", True), ("output_tokens_per_s p50 >= 60/s", False),
        ("output_tokens_per_s p5 >= 60/s", True), ("output_tokens_per_s max >= 60/s", False),
    ],
)  # fmt: skip
def test_only_some_objectives_are_promises_to_the_single_request(text: str, one_request: bool) -> None:
    assert parse_objective(text).limits_one_request is one_request


@pytest.mark.parametrize(
    "text",
    ["throttle_rate <= 1", "error_rate < 1", "error_rate <= 100%", "sla_compliance >= 0%", "goodput_rps > 0/s",
     "ttft_ms p95 >= 0"],
)  # fmt: skip
def test_a_limit_that_nothing_can_miss_is_refused(text: str) -> None:
    with pytest.raises(ObjectiveError, match="cannot fail"):
        parse_objective(text)


def test_one_meant_as_one_percent_is_told_how_to_write_it() -> None:
    with pytest.raises(ObjectiveError, match="Write throttle_rate <= 1%"):
        parse_objective("throttle_rate <= 1")


@pytest.mark.parametrize("text", ["throttle_rate <= 0%", "sla_compliance >= 100%", "error_rate < 99.9%"])
def test_a_strict_limit_is_a_limit(text: str) -> None:
    assert parse_objective(text).text == text
