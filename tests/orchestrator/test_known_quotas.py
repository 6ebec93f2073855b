"""What a plan is held against."""

from pathlib import Path

import pytest

from orchestrator.known_quotas import quotas_of, with_known_quotas
from orchestrator.preflight import Preparation, most_requests, prepare
from orchestrator.settings import resolve
from orchestrator.tables import plan_text

PRO = "amazon.nova-pro-v1:0"


def prepared(folder: Path, more: str = "") -> Preparation:
    path = folder / "s.yaml"
    path.write_text(f"name: s\nmodel_id: {PRO}\nload: {{rate: 2/s, duration: 1m}}\n{more}", encoding="utf-8")
    return with_known_quotas(prepare(resolve(path, {}, {})))


def sentences(preparation: Preparation) -> str:
    return "\n".join(line for line in plan_text(preparation) if isinstance(line, str))


def test_a_quota_of_the_scenarios_emulator_is_the_one_that_counts(tmp_path):
    preparation = prepared(tmp_path, "emulator: {default: {quota: {rpm: 60}}}\n")

    assert "emulator quota 60 and no limit; expect throttling\n" in sentences(preparation)
    assert preparation.plan.quota_share(preparation.plan.cells[0]) == pytest.approx(2.0)


def test_an_emulator_without_quotas_is_planned_against_those_of_a_new_account(tmp_path):
    assert "default quota" in sentences(prepared(tmp_path))


def test_the_account_s_quotas_are_found_by_the_names_that_service_quotas_gives_them():
    listed = [
        {"QuotaName": "Cross-region model inference requests per minute for Amazon Nova Pro", "Value": 10.0},
        {"QuotaName": "On-demand model inference tokens per minute for Amazon Nova Pro", "Value": 5000.0},
    ]

    found = quotas_of([f"us.{PRO}", PRO, "us.amazon.nova-micro-v1:0"], listed)

    assert {name: (quota.rpm, quota.tpm, quota.source) for name, quota in found.items()} == {
        f"us.{PRO}": (10.0, None, "Service Quotas"),
        PRO: (None, 5000.0, "Service Quotas"),
    }


def test_the_plan_says_how_many_requests_retries_could_make_of_it(tmp_path):
    once = prepared(tmp_path)
    tried = prepared(
        tmp_path, "retry: {policy: standard, max_attempts: 3}\nfailover: {regions: [us-east-1, us-west-2]}\n"
    )

    assert most_requests(once) is None
    assert most_requests(tried) == pytest.approx(6 * tried.plan.requests)
    assert "Retries are not counted in this: at most 720 requests" in sentences(tried)
