"""Which of an account's quotas belong to a model, and what they mean for a plan."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.catalog import default_catalog
from bedrock.service_quotas import AccountQuota, quota_of
from orchestrator.doctor_findings import Status
from orchestrator.doctor_quotas import ModelQuota, QuotasError, match_quotas, quota_finding, unseen_finding
from orchestrator.preflight import prepare
from orchestrator.settings import resolve
from scenarios.plan import QuotaUse

DEMO = Path(__file__).parents[2] / "scenarios" / "demo.yaml"
MODELS = default_catalog().models


def entry(name: str, value: float) -> dict[str, Any]:
    return {"QuotaName": name, "Value": value}


#: Names as AWS writes them (docs: Amazon Bedrock endpoints and quotas).
LISTED = [
    entry("On-demand model inference requests per minute for Amazon Nova Pro", 1),
    entry("On-demand model inference tokens per minute for Amazon Nova Pro", 2),
    entry("Cross-region model inference requests per minute for Amazon Nova Pro", 3),
    entry("Cross-region model inference tokens per minute for Amazon Nova Pro", 4),
    entry("Model invocation max tokens per day for Amazon Nova Pro (doubled for cross-region calls)", 5),
    entry("Cross-region model inference requests per minute for Anthropic Claude Sonnet 4.5 V1", 6),
    entry("Global cross-region model inference tokens per minute for Anthropic Claude Sonnet 4.5 V1", 7),
    entry("On-demand model inference tokens per minute for Anthropic Claude 3.5 Haiku", 8),
    entry("On-demand model inference tokens per minute for Anthropic Claude 3 Haiku", 9),
    entry("On-demand model inference tokens per minute for Meta Llama 3.3 70B Instruct", 10),
    entry("On-demand model inference tokens per minute for Meta Llama 4 Maverick V1", 11),
    entry("On-demand model inference tokens per minute for Mistral Large 2407", 12),
    entry("On-demand model inference tokens per minute for Amazon Nova Lite", 13),
    entry("On-demand model inference tokens per minute for Amazon Nova 2 Lite", 14),
    entry("Knowledge bases per account", 15),
]


@pytest.mark.parametrize(
    ("model_id", "prefix", "quota"),
    [
        ("amazon.nova-pro-v1:0", None, AccountQuota(1, 2, 5)),
        ("amazon.nova-pro-v1:0", "us", AccountQuota(3, 4, 5)),
        ("amazon.nova-pro-v1:0", "global", AccountQuota(None, None, 5)),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "eu", AccountQuota(6, None, None)),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "global", AccountQuota(None, 7, None)),
        ("anthropic.claude-3-5-haiku-20241022-v1:0", None, AccountQuota(None, 8, None)),
        ("anthropic.claude-3-haiku-20240307-v1:0", None, AccountQuota(None, 9, None)),
        ("meta.llama3-3-70b-instruct-v1:0", None, AccountQuota(None, 10, None)),
        ("meta.llama4-maverick-17b-instruct-v1:0", None, AccountQuota(None, 11, None)),
        ("mistral.mistral-large-2407-v1:0", None, AccountQuota(None, 12, None)),
        ("amazon.nova-lite-v1:0", None, AccountQuota(None, 13, None)),
        ("amazon.nova-2-lite-v1:0", None, AccountQuota(None, 14, None)),
        ("amazon.nova-micro-v1:0", "us", AccountQuota()),
    ],
)
def test_the_quotas_of_a_model_are_found_by_their_names(model_id, prefix, quota):
    assert quota_of(MODELS[model_id], prefix, LISTED) == quota


def test_no_quota_counts_for_two_models():
    for found in LISTED:
        owners = {
            model.id
            for model in MODELS.values()
            for prefix in (None, "us", "global")
            if quota_of(model, prefix, [found]).is_known
        }
        assert len(owners) <= 1, found


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "QuotaName": st.sampled_from([found["QuotaName"] for found in LISTED]) | st.text() | st.none(),
                "Value": st.none() | st.booleans() | st.text(max_size=3) | st.floats(),
            },
        ),
        max_size=4,
    )
)
def test_whatever_is_listed_is_a_number_or_nothing(listed):
    quota = quota_of(MODELS["amazon.nova-pro-v1:0"], None, listed)

    for value in (quota.rpm, quota.tpm, quota.tpd):
        assert value is None or any(entry.get("Value") == value for entry in listed)


def found(quota: AccountQuota, tokens: float = 0.0, rpm: float = 100.0, tpm: float = 1000.0) -> ModelQuota:
    use = QuotaUse("m", "us-east-1", "cell", rpm, None, "cell", tpm, None)
    return ModelQuota("m", quota, use, tokens)


@pytest.mark.parametrize(
    ("quota", "status", "said"),
    [
        (AccountQuota(100, 1000, 10_000), Status.OK, "the plan stays below"),
        (AccountQuota(99, 1000, None), Status.WARN, "100 requests a minute: expect throttling"),
        (AccountQuota(99, 999, 10), Status.WARN, "1,000 tokens a minute and 5,000 tokens: expect"),
        (AccountQuota(None, None, 0), Status.FAIL, "quota is 0 (0 tokens/day)"),
        (AccountQuota(), Status.WARN, "lists none by this model's name"),
    ],
)
def test_a_plan_above_the_quota_is_a_warning_and_a_quota_of_nothing_a_failure(quota, status, said):
    finding = quota_finding(found(quota, tokens=5_000.0))

    assert finding.status is status
    assert said in finding.text


def test_planned_tokens_are_those_of_all_cells_and_of_that_model():
    plan = prepare(resolve(DEMO, {}, {})).plan
    ids = sorted({model.model_id for planned in plan.cells for model in planned.models})
    quotas = match_quotas(ids, [], plan, default_catalog(), "us-east-1")

    assert sum(quota.planned_tokens or 0.0 for quota in quotas) == pytest.approx(plan.input_tokens + plan.output_tokens)
    assert all(quota.use is not None for quota in quotas)
    assert match_quotas(ids, [], None, default_catalog(), "us-east-1")[0].planned_tokens is None


def test_unseen_quotas_are_replaced_by_the_default_ones():
    small = prepare(resolve(DEMO, {}, {})).plan
    large = prepare(resolve(DEMO, {"rates": "4000/s"}, {})).plan
    error = QuotasError("Service Quotas refused: X")

    assert "the plan stays below the default quotas" in unseen_finding(error, small).text
    assert "the plan asks more of us.amazon.nova" in unseen_finding(error, large).text
    assert unseen_finding(error, None).text == "Service Quotas refused: X"
    assert {unseen_finding(error, plan).status for plan in (small, large, None)} == {Status.WARN}
