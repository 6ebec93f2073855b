"""What a check-up will ask: a tiny request for each model, service tier and transport, and what it costs at most."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bedrock.catalog import Catalog
from bedrock.client import TRANSPORTS
from bedrock.invocation import Invocation
from bedrock.outcome import mask_accounts
from bedrock.pricing import cost_usd
from orchestrator.doctor_findings import Finding, warn
from orchestrator.settings import Settings
from scenarios.model import Request
from scenarios.nonce import nonce
from scenarios.plan import Plan

#: Every request of a check-up: this prompt, and no longer answer than this.
PROMPT = "Reply with OK."
MAX_TOKENS = 10

#: Input tokens that the prompt has at most, with a nonce and what a model's chat template adds to it. An assumption;
#: measured are 4 to 15 without a nonce, which has 16 digits.
MOST_INPUT_TOKENS = 64

#: The value of --transport that stands for all.
BOTH = "both"


@dataclass(frozen=True, slots=True)
class Question:
    """One tiny request, the same on each transport. `sent_tier` None leaves the tier out, as a load test would.

    It carries what the scenario's requests do (docs/requests.md), but for the system prompt and its cache point.
    """

    api: str
    model_id: str
    tier: str
    sent_tier: str | None
    #: Text before the prompt: a nonce, or nothing.
    opening: str = ""
    latency: str | None = None
    stop_sequences: tuple[str, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """What a person calls it; no account ids in it."""
        return mask_accounts(f"{self.model_id} {self.tier}")

    def invocation(self) -> Invocation:
        """The request to make."""
        return Invocation(
            self.api,
            self.model_id,
            self.opening + PROMPT,
            MAX_TOKENS,
            service_tier=self.sent_tier,
            latency=self.latency,
            stop_sequences=tuple(self.stop_sequences),
            request_metadata=dict(self.metadata) or None,
        )


@dataclass(frozen=True, slots=True)
class Transports:
    """Transports to ask over. What fails only on one that is not `needed` does not keep a test from running."""

    asked: tuple[str, ...]
    needed: frozenset[str]


def without_both(arguments: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Flags and environment without `both`, which only a check-up understands."""
    given = {key: None if key == "transport" and _is_both(value) else value for key, value in arguments.items()}
    kept = {key: value for key, value in environ.items() if not (key == "TRANSPORT" and _is_both(value))}
    if _is_both(arguments.get("transport")):  # the flag wins over the variable
        kept.pop("TRANSPORT", None)
    return given, kept


def chosen_transports(arguments: Mapping[str, Any], environ: Mapping[str, str], settings: Settings) -> Transports:
    """Both unless one is named by a flag or a variable; the scenario's own is the one that is needed."""
    word = str(arguments.get("transport") or environ.get("TRANSPORT") or "")
    if _is_both(word):
        return Transports(TRANSPORTS, frozenset(TRANSPORTS))
    needed = settings.scenario.transport
    return Transports((needed,) if word else TRANSPORTS, frozenset({needed}))


def _is_both(value: object) -> bool:
    return isinstance(value, str) and value.strip() == BOTH


def questions(plan: Plan, catalog: Catalog, request: Request) -> tuple[Question, ...]:
    """One question for each API, model id and tier that the cells of a plan will use, in their order."""
    asked: dict[Question, None] = {}
    opening = nonce() if request.nonce else ""
    carried = opening, request.latency, request.stop_sequences, tuple(request.metadata.items())
    for planned in plan.cells:
        tier = planned.cell.service_tier
        for model in planned.models:
            question = Question(planned.cell.api, model.model_id, tier, tier, *carried)
            entry = catalog.find(model.model_id)
            if tier == "default" and entry is not None and entry.tiers == ("default",):
                question = replace(question, sent_tier=None)
            asked[question] = None
    return tuple(asked)


def most_cost_usd(asked: Sequence[Question], transports: Sequence[str], catalog: Catalog) -> float | None:
    """The most that all requests can cost; None where a model has no known price in a tier."""
    total = 0.0
    for question in asked:
        price = catalog.price(question.model_id, question.tier)
        if price is None:
            return None
        total += cost_usd(price, MOST_INPUT_TOKENS, MAX_TOKENS) * len(transports)
    return total


def other_regions(settings: Settings) -> Iterator[Finding]:
    """A warning where cells call regions that a check-up, which asks in one region, does not look at."""
    checked = settings.options.region
    others = [region for region in settings.scenario.failover.regions or settings.regions if region != checked]
    if others:
        text = f"cells of the plan call {', '.join(others)}; only {checked} is checked here"
        yield warn("region", text, f"Check each by itself: --region {others[0]}.")


def skipped(plan: Plan) -> Iterator[Finding]:
    """A warning for each reason for which cells are not run; their tiers are not asked for."""
    for reason in dict.fromkeys(cell.reason for cell in plan.skipped if cell.reason):
        cells = sum(cell.reason == reason for cell in plan.skipped)
        these = "1 cell of the plan is" if cells == 1 else f"{cells} cells of the plan are"
        yield warn("tier", f"{reason}; {these} skipped, and not asked for here", "Leave that out for that model.")
