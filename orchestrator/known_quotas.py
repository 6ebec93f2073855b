"""The quotas that a plan is held against: the emulator's own, the account's where it may be asked, else the default."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bedrock.catalog import default_catalog, split_model_id
from bedrock.service_quotas import quota_of
from emulator.config import parse_config
from orchestrator.preflight import Preparation
from scenarios.plan import ACCOUNT, EMULATOR, KnownQuota, QuotaKey, with_quotas


def with_known_quotas(preparation: Preparation) -> Preparation:
    """The preparation with the quotas of the endpoint that it will call; asks Service Quotas where that is AWS."""
    settings = preparation.settings
    notes: tuple[str, ...] = ()
    if settings.starts_emulator:
        quotas = _emulator_quotas(preparation)
    elif settings.scenario.target == "aws" and settings.endpoint.url is None:
        quotas, notes = _account_quotas(preparation)
    else:
        return preparation
    plan = with_quotas(preparation.plan, quotas, settings.catalog)
    return replace(preparation, plan=plan, doubts=(*preparation.doubts, *notes))


def _emulator_quotas(preparation: Preparation) -> dict[QuotaKey, KnownQuota]:
    """Quotas that the scenario's emulator section sets; where it sets none, what AWS would allow is of interest.

    The emulator has one quota of a model id, whatever Region a request is signed for; cells take from it one by one.
    """
    config = parse_config(preparation.settings.scenario.emulator or {})
    limits = ((use, config.quota(use.model_id)) for use in preparation.plan.quotas)
    return {
        (use.region, use.model_id): KnownQuota(limit.rpm, limit.tpm, EMULATOR)
        for use, limit in limits
        if limit is not None
    }


def _account_quotas(preparation: Preparation) -> tuple[dict[QuotaKey, KnownQuota], tuple[str, ...]]:
    """The account's own quotas in each Region that cells call, and a sentence where they cannot be seen."""
    # botocore takes 0.2 s to import; plans against the emulator do without it.
    from orchestrator.doctor_quotas import QuotasError, list_quotas  # noqa: PLC0415

    found: dict[QuotaKey, KnownQuota] = {}
    uses = preparation.plan.quotas
    for region in dict.fromkeys(use.region for use in uses):
        try:
            listed = list_quotas(region or preparation.settings.options.region)
        except QuotasError as error:
            return found, (f"{error}; the plan is held against the default quotas",)
        quotas = quotas_of((use.model_id for use in uses if use.region == region), listed)
        found |= {(region, model_id): quota for model_id, quota in quotas.items()}
    return found, ()


def quotas_of(model_ids: Iterable[str], listed: Iterable[Mapping[str, object]]) -> dict[str, KnownQuota]:
    """The quota of each model id as sent, of what Service Quotas lists; none for ids that it lists none for."""
    entries, found = list(listed), {}
    for model_id in model_ids:
        quota = quota_of(default_catalog().resolve(model_id), split_model_id(model_id).prefix, entries)
        if quota.rpm is not None or quota.tpm is not None:
            found[model_id] = KnownQuota(quota.rpm, quota.tpm, ACCOUNT)
    return found
