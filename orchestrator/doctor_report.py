"""A check-up as people and programs read it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from bedrock.outcome import mask_accounts
from orchestrator.doctor_asking import Answers
from orchestrator.doctor_clock import ClockDifference
from orchestrator.doctor_endpoint import EndpointFacts
from orchestrator.doctor_findings import Finding, Status, exit_code
from orchestrator.doctor_plan import Question
from orchestrator.doctor_quotas import ModelQuota
from orchestrator.doctor_reading import Difference, Sight, difference, sight
from orchestrator.exit_codes import ExitCode

_STYLES = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "bold red"}
_MISSING = "—"

_REMARK = (
    "One request each: differences in time are mostly chance. The first over each transport opens its connection, "
    "which its times contain."
)
_VERDICTS = {
    ExitCode.OK: "ok",
    ExitCode.USAGE_ERROR: "fail: the configuration has to be changed first",
    ExitCode.INCONCLUSIVE: "fail: it could not be told whether a test would run",
}


@dataclass(frozen=True, slots=True)
class Checkup:
    """Everything that was found, in the order it was looked at. `most_cost_usd` None: a price is not known."""

    scenario: str
    target: str
    region: str
    url: str | None
    transports: tuple[str, ...]
    is_paid: bool
    asked: tuple[Question, ...]
    most_cost_usd: float | None
    findings: tuple[Finding, ...]
    endpoint: EndpointFacts | None
    clock: ClockDifference | None
    quotas: tuple[ModelQuota, ...]
    answers: tuple[Answers, ...]

    @property
    def exit_code(self) -> ExitCode:
        """How the command ends."""
        return exit_code(self.findings)

    @property
    def status(self) -> Status:
        """The worst of all findings."""
        seen = {finding.status for finding in self.findings}
        return next((status for status in (Status.FAIL, Status.WARN) if status in seen), Status.OK)

    def sights(self, number: int) -> list[Sight | None]:
        """What each transport saw of a question, in the order of `transports`; None where it saw nothing."""
        by_name = {answer.transport: answer.of(number) for answer in self.answers}
        records = [by_name.get(name) for name in self.transports]
        return [None if record is None else sight(record) for record in records]

    def difference(self, number: int) -> Difference | None:
        """What two transports saw differently of a question; None unless both saw something."""
        first, *others = self.sights(number)
        return None if first is None or not others or others[0] is None else difference(first, others[0])


def document(checkup: Checkup) -> dict[str, Any]:
    """The check-up as one JSON document."""
    return {
        "schema_version": 1,
        "scenario": checkup.scenario,
        "target": checkup.target,
        "region": checkup.region,
        "endpoint_url": checkup.url,
        "transports": list(checkup.transports),
        "verdict": {"status": checkup.status.value, "exit_code": int(checkup.exit_code)},
        "cost": {
            "requests": len(checkup.asked) * len(checkup.transports),
            "is_billed": checkup.is_paid,
            "at_most_usd": checkup.most_cost_usd,
        },
        "findings": [finding.to_dict() for finding in checkup.findings],
        "endpoint": None if checkup.endpoint is None else checkup.endpoint.to_dict(),
        "clock": None if checkup.clock is None else asdict(checkup.clock),
        "quotas": [quota.to_dict() for quota in checkup.quotas],
        "requests": [_request(checkup, number, question) for number, question in enumerate(checkup.asked)],
    }


def _request(checkup: Checkup, number: int, question: Question) -> dict[str, Any]:
    found = checkup.difference(number)
    seen = zip(checkup.transports, checkup.sights(number), strict=True)
    return {
        "api": question.api,
        "model_id": mask_accounts(question.model_id),
        "service_tier": question.tier,
        "seen": {name: None if one is None else asdict(one) for name, one in seen},
        "difference": None if found is None else asdict(found) | {"transports": list(found.transports)},
    }


def text(checkup: Checkup) -> Iterator[Any]:
    """The check-up for a terminal or a pipe: the findings, what each transport saw, the verdict."""
    where = checkup.url or f"AWS {checkup.region}"
    yield f"Scenario {checkup.scenario} · target {where} · transports {' and '.join(checkup.transports)}"
    yield _findings_table(checkup.findings)
    if any(answer.records for answer in checkup.answers):
        yield _sights_table(checkup)
        yield _REMARK
    yield Text(f"Doctor: {_verdict(checkup)}", style=_STYLES[checkup.status])


def _verdict(checkup: Checkup) -> str:
    warnings = sum(finding.status is Status.WARN for finding in checkup.findings)
    many = {0: "", 1: ", 1 warning"}.get(warnings, f", {warnings} warnings")
    return _VERDICTS[checkup.exit_code] + many


def _findings_table(findings: Sequence[Finding]) -> Table:
    table = _table("Checks")
    for name in ("", "check", "found", "what to do"):
        table.add_column(name, overflow="fold")
    for finding, subjects in _grouped(findings):
        found = f"{', '.join(subjects)}: {finding.text}" if subjects else finding.text
        status = Text(finding.status.value, style=_STYLES[finding.status])
        table.add_row(status, finding.check, Text(found), Text(finding.advice or _MISSING))
    return table


def _grouped(findings: Sequence[Finding]) -> Iterator[tuple[Finding, list[str]]]:
    """What was found alike of several subjects, once, where it was first found."""
    groups: dict[Finding, list[str]] = {}
    for finding in findings:
        groups.setdefault(replace(finding, subject=None), []).append(finding.subject or "")
    yield from ((finding, [subject for subject in subjects if subject]) for finding, subjects in groups.items())


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, title_style="bold")


def _sights_table(checkup: Checkup) -> Table:
    table = _table("What each transport saw")
    for name in ("request", "over", "outcome", "HTTP"):
        table.add_column(name, overflow="fold")
    for name in ("TTFT ms", "e2e ms", "connect ms"):
        table.add_column(name, justify="right")
    table.add_column("tier")
    for name in ("in", "out"):
        table.add_column(name, justify="right")
    table.add_column("request id", overflow="fold")
    for number, question in enumerate(checkup.asked):
        for name, seen in zip(checkup.transports, checkup.sights(number), strict=True):
            table.add_row(Text(question.name), name, *_sight_columns(seen))
        found = checkup.difference(number)
        if found is not None:
            table.add_row("", f"{found.transports[1]} - {found.transports[0]}", *_difference_columns(found))
    return table


def _sight_columns(seen: Sight | None) -> list[Text | str]:
    if seen is None:
        return [_MISSING] * 9
    return [
        Text(seen.outcome),
        _shown(seen.http_status),
        _ms(seen.ttft_ms),
        _ms(seen.e2e_ms),
        _ms(seen.connect_ms),
        Text(seen.served_tier or _MISSING),
        _shown(seen.input_tokens),
        _shown(seen.output_tokens),
        Text(seen.request_id or _MISSING),
    ]


def _difference_columns(found: Difference) -> list[str]:
    return [
        "same" if found.same_outcome else "differs",
        "",
        _ms(found.ttft_ms, "+"),
        _ms(found.e2e_ms, "+"),
        "",
        "same" if found.same_tier else "differs",
        _shown(found.input_tokens),
        _shown(found.output_tokens),
        "",
    ]


def _shown(value: int | None) -> str:
    return _MISSING if value is None else str(value)


def _ms(value: float | None, sign: str = "") -> str:
    return _MISSING if value is None else f"{value:{sign},.1f}"
