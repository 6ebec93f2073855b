"""How answers read: a finding for each question, and what the transports saw differently."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome
from orchestrator.doctor_asking import Answers
from orchestrator.doctor_findings import Finding, Status, could_not_tell, misconfigured, ok, warn
from orchestrator.doctor_plan import Question, Transports
from orchestrator.doctor_refusals import meaning
from reports.text import clean


@dataclass(frozen=True, slots=True)
class Sight:
    """What one transport saw of one question; texts from the service are cleaned. Times in milliseconds.

    `connect_ms` is TCP and TLS together where this request opened a connection, 0 on an open one, and None where the
    transport does not say (the SDK does not).
    """

    transport: str
    outcome: str
    http_status: int | None
    error_code: str | None
    error_message: str | None
    ttft_ms: float | None
    e2e_ms: float | None
    connect_ms: float | None
    requested_tier: str | None
    served_tier: str | None
    input_tokens: int | None
    output_tokens: int | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """The second transport against the first: milliseconds and tokens later minus former; None where one has none."""

    transports: tuple[str, str]
    same_outcome: bool
    same_tier: bool
    ttft_ms: float | None
    e2e_ms: float | None
    input_tokens: int | None
    output_tokens: int | None


def sight(record: InvocationRecord) -> Sight:
    """A record as it is shown."""
    return Sight(
        transport=record.transport or "",
        outcome=str(record.outcome),
        http_status=record.http_status,
        error_code=_cleaned(record.error_code, 80),
        error_message=_cleaned(record.error_message, 300),
        ttft_ms=record.ttft_ms,
        e2e_ms=record.e2e_ms,
        connect_ms=record.connect_ms,
        requested_tier=record.requested_tier,
        served_tier=_cleaned(record.served_tier, 40),
        input_tokens=_count(record.input_tokens),
        output_tokens=_count(record.output_tokens),
        request_id=_cleaned(record.request_id, 80),
    )


def _cleaned(text: str | None, limit: int) -> str | None:
    return None if text is None else clean(str(text), limit)


def _count(value: object) -> int | None:
    """A number of tokens as the service gave it, None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def difference(first: Sight, second: Sight) -> Difference:
    """What two transports saw differently of one question."""
    return Difference(
        transports=(first.transport, second.transport),
        same_outcome=(first.outcome, first.http_status) == (second.outcome, second.http_status),
        same_tier=first.served_tier == second.served_tier,
        ttft_ms=_minus(second.ttft_ms, first.ttft_ms),
        e2e_ms=_minus(second.e2e_ms, first.e2e_ms),
        input_tokens=_minus_count(second.input_tokens, first.input_tokens),
        output_tokens=_minus_count(second.output_tokens, first.output_tokens),
    )


def _minus(later: float | None, former: float | None) -> float | None:
    return None if later is None or former is None else later - former


def _minus_count(later: int | None, former: int | None) -> int | None:
    return None if later is None or former is None else later - former


# --- findings ----------------------------------------------------------------------------------------------------


def read_answers(asked: Sequence[Question], answers: Sequence[Answers], transports: Transports) -> list[Finding]:
    """All that the answers come to: transports that cannot be used, then each question."""
    findings = [_refused(answer, transports) for answer in answers if answer.refused is not None]
    usable = [answer for answer in answers if answer.refused is None]
    for number, question in enumerate(asked):
        findings += _read_question(question, number, usable, transports) if usable else []
    return findings


def _refused(answer: Answers, transports: Transports) -> Finding:
    advice = "Use the other transport, or change what it says."
    text = f"{answer.transport} cannot be used here: {clean(answer.refused or '')}"
    if answer.transport in transports.needed:
        return misconfigured("transport", text, advice)
    return warn("transport", text, advice)


def _read_question(
    question: Question, number: int, answers: Sequence[Answers], transports: Transports
) -> Iterator[Finding]:
    records = {answer.transport: answer.of(number) for answer in answers}
    good = [name for name, record in records.items() if record is not None and record.outcome is Outcome.OK]
    if good:
        yield _answered(question, [record for name in good if (record := records[name]) is not None])
    for names, finding in _failures(question, records, answers):
        yield _weighed(finding, names, good, transports)
    yield from _disagreements(question, [records[name] for name in good])


def _answered(question: Question, records: Sequence[InvocationRecord]) -> Finding:
    over = " and ".join(record.transport or "" for record in records)
    served = next((record.served_tier for record in records if record.served_tier), None)
    if served is not None and served != question.tier:
        text = f"answered over {over}, but in the tier {clean(str(served), 40)}"
        advice = "Results of this tier would be those of the other: see whether the account may use it."
        return warn("tier", text, advice, subject=question.name)
    told = "" if served is None else f", in the tier {clean(str(served), 40)}"
    return ok("model", f"answered over {over}{told}", subject=question.name)


def _failures(
    question: Question, records: dict[str, InvocationRecord | None], answers: Sequence[Answers]
) -> Iterator[tuple[list[str], Finding]]:
    """A finding for each way to fail, with the transports that met it."""
    seen: dict[tuple[str, str], tuple[list[str], Finding]] = {}
    for answer in answers:
        record = records[answer.transport]
        if record is not None and record.outcome is Outcome.OK:
            continue
        key, finding = _failed(question, record, answer)
        seen.setdefault(key, ([], finding))[0].append(answer.transport)
    for names, finding in seen.values():
        yield names, replace(finding, text=f"{' and '.join(names)}: {finding.text}")


def _failed(question: Question, record: InvocationRecord | None, answer: Answers) -> tuple[tuple[str, str], Finding]:
    if record is None:
        text = "no answer in time" if answer.is_cut_off else "not asked: there was no connection"
        advice = "Look at the findings above." if not answer.is_cut_off else "Try again later."
        return ("", text), could_not_tell("model", text, advice, subject=question.name)
    seen, means = sight(record), meaning(record)
    make = could_not_tell if means.is_open else misconfigured
    finding = make(means.check, failure_text(seen), means.advice, subject=question.name)
    return (seen.outcome, seen.error_code or ""), finding


def failure_text(seen: Sight) -> str:
    """`throttled (429 ThrottlingException): Too many requests`."""
    known = " ".join(str(part) for part in (seen.http_status, seen.error_code) if part is not None)
    return f"{seen.outcome} ({known})" + (f": {seen.error_message}" if seen.error_message else "")


def _weighed(finding: Finding, names: Sequence[str], good: Sequence[str], transports: Transports) -> Finding:
    """A failure that another transport did not meet: passing, or of a transport that no test here uses."""
    is_needless = not transports.needed.intersection(names)
    if good and (finding.is_open or is_needless):
        return replace(finding, status=Status.WARN, is_open=False)
    return finding


def _disagreements(question: Question, records: Sequence[InvocationRecord | None]) -> Iterator[Finding]:
    """What should be the same over all transports, and is not."""
    sights = [sight(record) for record in records if record is not None]
    for name, values in (
        ("input tokens", {seen.input_tokens for seen in sights}),
        ("the served tier", {seen.served_tier for seen in sights}),
    ):
        if len(values) > 1:
            told = ", ".join(f"{seen.transport} {_value(seen, name)}" for seen in sights)
            advice = "Something in between treats them differently: run over the transport that your product uses."
            yield warn("transport", f"the transports disagree on {name}: {told}", advice, subject=question.name)


def _value(seen: Sight, name: str) -> str:
    value = seen.input_tokens if name == "input tokens" else seen.served_tier
    return "—" if value is None else str(value)
