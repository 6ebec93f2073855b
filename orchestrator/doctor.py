"""A check-up before a load test: credentials, region, endpoint, clock, quotas, and a tiny request for each model."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TextIO

from bedrock.clock import now
from bedrock.endpoint import Endpoint
from bedrock.invocation import InvocationRecord
from bedrock.outcome import mask_accounts
from bedrock.sdk_settings import trust
from emulator.process import EmulatorProcess
from orchestrator.consent import require_consent
from orchestrator.doctor_asking import Answers, ask_all
from orchestrator.doctor_clock import EMULATOR_PATH, ClockDifference, clock_difference, clock_finding
from orchestrator.doctor_credentials import look_at_credentials
from orchestrator.doctor_endpoint import EndpointFacts, look_at_endpoint, region_findings
from orchestrator.doctor_findings import Finding, has_failed, misconfigured, warn
from orchestrator.doctor_plan import MAX_TOKENS, Question, Transports, most_cost_usd, other_regions, questions, skipped
from orchestrator.doctor_quotas import (
    ModelQuota,
    QuotasError,
    list_quotas,
    match_quotas,
    quota_finding,
    unseen_finding,
)
from orchestrator.doctor_reading import read_answers
from orchestrator.doctor_report import Checkup
from orchestrator.preflight import Preparation
from orchestrator.settings import Settings, cost_limit_usd
from scenarios.loading import ScenarioError


@dataclass(slots=True)
class Doctor:
    """Looks at one scenario's surroundings. `has_plan` is whether its load is meant, and so compared with quotas."""

    preparation: Preparation
    transports: Transports
    has_plan: bool
    stdin: TextIO
    stderr: TextIO
    _asked: tuple[Question, ...] = field(init=False)
    _findings: list[Finding] = field(default_factory=list, init=False)
    _facts: EndpointFacts | None = field(default=None, init=False)
    _clock: ClockDifference | None = field(default=None, init=False)
    _quotas: list[ModelQuota] = field(default_factory=list, init=False)
    _answers: list[Answers] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._asked = questions(self.preparation.plan, self._settings.catalog, self._settings.scenario.request)

    def examine(self) -> Checkup:
        """Look at everything, cheap and free things first; nothing is sent where these fail or nobody agrees."""
        with _endpoint(self._settings) as endpoint:
            self._look_around(endpoint)
            if has_failed(self._findings):
                self._findings.append(_not_asked())
            elif self._may_send():
                self._look_closer(endpoint)
                self._ask(endpoint)
            return self._checkup(endpoint)

    @property
    def _settings(self) -> Settings:
        return self.preparation.settings

    @property
    def _most_cost_usd(self) -> float | None:
        return most_cost_usd(self._asked, self.transports.asked, self._settings.catalog)

    def _look_around(self, endpoint: Endpoint) -> None:
        """What needs no request to Bedrock."""
        self._findings.append(look_at_credentials(endpoint, datetime.fromtimestamp(now(), UTC)))
        self._findings += region_findings(endpoint)
        self._findings += other_regions(self._settings)
        self._facts, finding = look_at_endpoint(endpoint)
        self._findings.append(finding)
        self._findings += skipped(self.preparation.plan)
        if not self._asked:
            self._findings.append(misconfigured("tier", "no cell of the plan would be run", "Choose another tier."))

    def _may_send(self) -> bool:
        """Say what will be sent and what it costs at most, and ask where it costs anything."""
        requests = len(self._asked) * len(self.transports.asked)
        if self._settings.options.dry_run:
            self._findings.append(warn("model", "no model was asked: a dry run sends nothing", "Leave --dry-run out."))
            return False
        if not self._settings.is_paid:
            return True
        cost_usd = self._most_cost_usd
        costs = "a model has no known price in this tier" if cost_usd is None else f"at most ${cost_usd:.6f}"
        self._say(f"{requests} requests of at most {MAX_TOKENS} output tokens: {costs}")
        limit_usd = cost_limit_usd(self._settings.scenario)
        if limit_usd is not None and (cost_usd is None or cost_usd > limit_usd):
            text = f"{requests} requests may cost more than --max-cost-usd {limit_usd:g} ({costs}); nothing was sent"
            self._findings.append(misconfigured("consent", text, "Raise the limit, or check fewer models and tiers."))
            return False
        try:
            require_consent(self.preparation, self.stdin, self.stderr)
        except ScenarioError as error:
            text = "; ".join(str(problem) for problem in error.problems)
            self._findings.append(misconfigured("consent", f"{text}; nothing was sent", "Agree, or give --yes."))
            return False
        return True

    def _look_closer(self, endpoint: Endpoint) -> None:
        """What takes requests that cost nothing."""
        if self._facts is not None and self._facts.proxy is None:
            context = trust() if self._facts.url.startswith("https:") else None
            path = "/" if endpoint.url is None else EMULATOR_PATH
            self._clock = clock_difference(self._facts.url, context, path)
        self._findings.append(clock_finding(self._clock))
        if not endpoint.is_loopback:
            self._compare_quotas(endpoint)

    def _compare_quotas(self, endpoint: Endpoint) -> None:
        plan = self.preparation.plan if self.has_plan else None
        try:
            listed = list_quotas(endpoint.region)
        except QuotasError as error:
            self._findings.append(unseen_finding(error, plan))
            return
        model_ids = tuple(dict.fromkeys(question.model_id for question in self._asked))
        self._quotas = match_quotas(model_ids, listed, plan, self._settings.catalog, endpoint.region)
        self._findings += [quota_finding(found) for found in self._quotas]

    def _ask(self, endpoint: Endpoint) -> None:
        for transport in self.transports.asked:
            self._say(f"Asking over {transport} ...")
            self._answers.append(ask_all(transport, endpoint, self._asked, self._tell))
        self._findings += read_answers(self._asked, self._answers, self.transports)

    def _tell(self, record: InvocationRecord) -> None:
        self._say(f"  {mask_accounts(record.model_id or '')} {record.requested_tier}: {record.outcome}")

    def _say(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody reads it; the check-up goes on
            self.stderr.write(f"{line}\n")
            self.stderr.flush()

    def _checkup(self, endpoint: Endpoint) -> Checkup:
        settings = self._settings
        return Checkup(
            scenario=settings.scenario.name,
            target=settings.scenario.target,
            region=settings.options.region,
            url=endpoint.url,
            transports=self.transports.asked,
            is_paid=settings.is_paid,
            asked=self._asked,
            most_cost_usd=self._most_cost_usd,
            findings=tuple(self._findings),
            endpoint=self._facts,
            clock=self._clock,
            quotas=tuple(self._quotas),
            answers=tuple(self._answers),
        )


def _not_asked() -> Finding:
    return warn("model", "no model was asked", "Put right what failed above, then check again.")


@contextmanager
def _endpoint(settings: Settings) -> Iterator[Endpoint]:
    """Where a run would call: AWS, the given URL, or an emulator that lives as long as this context."""
    if not settings.starts_emulator:
        yield settings.endpoint
        return
    with EmulatorProcess(config=settings.scenario.emulator, seed=settings.scenario.seed) as emulator:
        yield Endpoint(settings.options.region, emulator.url)
