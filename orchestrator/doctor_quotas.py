"""The account's quotas, where the caller may see them, against what a scenario plans to ask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import botocore.exceptions
import botocore.session
from botocore.config import Config

from bedrock.catalog import Catalog, split_model_id
from bedrock.outcome import mask_accounts
from bedrock.service_quotas import SERVICE_CODE, AccountQuota, quota_of
from orchestrator.doctor_findings import Finding, misconfigured, ok, warn
from reports.text import clean
from scenarios.plan import Plan, QuotaUse

_TIMEOUT_S = 10.0
#: Bedrock has several hundred quotas, a hundred to the page.
_MOST_PAGES = 50
_ASK_FOR_MORE = "Ask for more in Service Quotas (Amazon Bedrock), or plan less load."
_ALLOW = "To compare with the account's own quotas, allow servicequotas:ListServiceQuotas."


class QuotasError(RuntimeError):
    """The quotas cannot be listed; the text says why."""


@dataclass(frozen=True, slots=True)
class ModelQuota:
    """The quota of one model id and the busiest minute that the plan asks of it; None where no plan was given."""

    model_id: str
    quota: AccountQuota
    use: QuotaUse | None
    planned_tokens: float | None

    @property
    def name(self) -> str:
        """The model id without account ids."""
        return mask_accounts(self.model_id)

    def to_dict(self) -> dict[str, Any]:
        """The entry of the JSON document."""
        use = self.use
        return {
            "model_id": self.name,
            "requests_per_minute": self.quota.rpm,
            "tokens_per_minute": self.quota.tpm,
            "tokens_per_day": self.quota.tpd,
            "planned_requests_per_minute": None if use is None else use.requests_per_minute,
            "planned_tokens_per_minute": None if use is None else use.tokens_per_minute,
            "planned_tokens": self.planned_tokens,
        }


def list_quotas(region: str) -> list[Mapping[str, Any]]:
    """All of Bedrock's quotas that Service Quotas lists for this account; QuotasError where it refuses."""
    config = Config(connect_timeout=_TIMEOUT_S, read_timeout=_TIMEOUT_S, retries={"total_max_attempts": 2})
    found: list[Mapping[str, Any]] = []
    try:
        client = botocore.session.get_session().create_client("service-quotas", region_name=region, config=config)
        pages = client.get_paginator("list_service_quotas").paginate(ServiceCode=SERVICE_CODE)
        for number, page in enumerate(pages):
            found += page.get("Quotas", [])
            if number + 1 >= _MOST_PAGES:
                break
    except botocore.exceptions.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        raise QuotasError(f"Service Quotas refused: {clean(str(code), 80)}") from error
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise QuotasError(f"Service Quotas could not be asked: {clean(str(error), 200)}") from error
    return found


def match_quotas(
    model_ids: Sequence[str], listed: Sequence[Mapping[str, Any]], plan: Plan | None, catalog: Catalog, region: str
) -> list[ModelQuota]:
    """The quota of each model id as sent, beside its use in the plan where there is one, in a Region."""
    uses = {use.model_id: use for use in plan.quotas if use.region == region} if plan is not None else {}
    matched = []
    for model_id in model_ids:
        model = catalog.find(model_id)
        quota = AccountQuota() if model is None else quota_of(model, split_model_id(model_id).prefix, listed)
        matched.append(ModelQuota(model_id, quota, uses.get(model_id), _planned_tokens(plan, model_id, region)))
    return matched


def _planned_tokens(plan: Plan | None, model_id: str, region: str) -> float | None:
    """Input and output tokens of a model in all cells of a Region."""
    if plan is None:
        return None
    return sum(
        planned.requests * model.share * (model.input_tokens + model.output_tokens)
        for planned in plan.cells
        for model in planned.models
        if plan.quota_key(planned, model) == (region, model_id)
    )


def quota_finding(found: ModelQuota) -> Finding:
    """What a model's quota means for the plan."""
    quota = found.quota
    if not quota.is_known:
        text = "Service Quotas lists none by this model's name"
        return warn("quota", text, "Look it up in the Service Quotas console (Amazon Bedrock).", subject=found.name)
    if 0 in (quota.rpm, quota.tpm, quota.tpd):
        text = f"the account's quota is 0 ({_quota_text(quota)})"
        return misconfigured("quota", text, _ASK_FOR_MORE, subject=found.name)
    over = list(_exceeded(found))
    if over:
        text = f"{_quota_text(quota)}; the plan asks for {' and '.join(over)}: expect throttling"
        return warn("quota", text, _ASK_FOR_MORE, subject=found.name)
    end = "" if found.use is None else "; the plan stays below"
    return ok("quota", f"{_quota_text(quota)}{end}", subject=found.name)


def _exceeded(found: ModelQuota) -> list[str]:
    """What the plan asks for beyond the quota."""
    quota, use = found.quota, found.use
    asked = (
        ("requests a minute", None if use is None else use.requests_per_minute, quota.rpm),
        ("tokens a minute", None if use is None else use.tokens_per_minute, quota.tpm),
        ("tokens", found.planned_tokens, quota.tpd),
    )
    return [
        f"{value:,.0f} {unit}"
        for unit, value, limit in asked
        if value is not None and limit is not None and value > limit
    ]


def _quota_text(quota: AccountQuota) -> str:
    limits = (("requests/min", quota.rpm), ("tokens/min", quota.tpm), ("tokens/day", quota.tpd))
    return ", ".join(f"{value:,.0f} {unit}" for unit, value in limits if value is not None)


def unseen_finding(error: QuotasError, plan: Plan | None) -> Finding:
    """A note where the quotas cannot be seen: no failure, with the default quotas in their place."""
    over = [use.model_id for use in plan.quotas if use.exceeds] if plan is not None else []
    if over:
        text = f"{error}; the plan asks more of {mask_accounts(', '.join(over))} than a new account's default quota"
        return warn("quota", text, _ALLOW)
    end = "; the plan stays below the default quotas" if plan is not None else ""
    return warn("quota", f"{error}{end}", _ALLOW)
