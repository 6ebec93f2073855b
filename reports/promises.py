"""What the run promised about latency percentiles of all its traffic: the limits that charts of latency show."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.material import Material
from scenarios.objectives import quantile_of

_METRICS = ("ttft_ms", "e2e_ms")
_WORST = "max"


@dataclass(frozen=True, slots=True)
class Promise:
    """At least `share` (0 to 1) of the latencies of `metric` stay below `limit_ms`."""

    metric: str
    share: float
    limit_ms: float
    name: str


def promises(material: Material) -> list[Promise]:
    """Objectives on a percentile or the maximum without a condition or a scope, and the SLA on the whole response.

    By metric and share. The SLA is for the share that `sla_compliance` asks for, else for every request.
    """
    found = [*objective_limits(material), *_of_sla(material)]
    return sorted(found, key=lambda promise: (promise.metric, promise.share, promise.limit_ms))


def objective_limits(material: Material) -> list[Promise]:
    """The same without the SLA, in the order of the objectives."""
    found = (_of_latency(objective) for objective in _of_all_traffic(material))
    return [promise for promise in found if promise is not None]


def of_metric(found: Sequence[Promise], metric: str) -> list[Promise]:
    """The promises about one metric."""
    return [promise for promise in found if promise.metric == metric]


def _of_all_traffic(material: Material) -> list[dict[str, object]]:
    return [
        objective
        for objective in material.summary.get("objectives") or []
        if not objective.get("scope") and " where " not in str(objective.get("objective"))
    ]


def _of_latency(objective: dict[str, object]) -> Promise | None:
    metric, stat, limit = str(objective.get("metric")), str(objective.get("stat")), objective.get("limit")
    share = 1.0 if stat == _WORST else quantile_of(stat)
    is_ceiling = ">" not in str(objective.get("objective"))
    if metric not in _METRICS or share is None or not isinstance(limit, int | float) or not is_ceiling:
        return None
    return Promise(metric, share, float(limit), f"{stat.replace('_', '.')} limit")


def _of_sla(material: Material) -> list[Promise]:
    sla_s = material.run.get("sla_s")
    if not isinstance(sla_s, int | float) or sla_s <= 0:
        return []
    shares = [
        float(str(objective["limit"]))
        for objective in _of_all_traffic(material)
        if objective.get("metric") == "sla_compliance" and objective.get("limit") is not None
    ]
    return [Promise("e2e_ms", min(max(shares, default=1.0), 1.0), sla_s * 1000.0, f"SLA {sla_s:g} s")]
