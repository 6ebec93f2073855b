"""What a check-up found: ok, warn or fail, with one sentence of what to do, and the exit code that follows."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.exit_codes import ExitCode

#: The end of the command's help.
EPILOG = """exit codes:
  0 nothing failed (there may be warnings)
  2 interrupted
  3 internal error
  4 configuration or usage error: credentials, permissions, no such model, tier refused, not confirmed
  5 it could not be told: endpoint unreachable, timeouts, throttled, no capacity

It takes the flags of run, so that a run can be checked by putting doctor before it. --transport may also be both,
which is what is done unless the flag or TRANSPORT names one.
"""


class Status(StrEnum):
    """How one check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, what was seen, what to do about it.

    `is_open` tells two kinds of failure apart: the check could not be made (the endpoint is silent, the service has no
    capacity), or it was made and the configuration is wrong.
    """

    status: Status
    check: str
    text: str
    advice: str | None = None
    subject: str | None = None
    is_open: bool = False

    def to_dict(self) -> dict[str, str | None]:
        """The finding as the JSON document has it; `reason` is why a check failed."""
        reason = ("could_not_tell" if self.is_open else "configuration") if self.status is Status.FAIL else None
        return {
            "status": self.status.value,
            "check": self.check,
            "subject": self.subject,
            "text": self.text,
            "advice": self.advice,
            "reason": reason,
        }


def ok(check: str, text: str, *, subject: str | None = None) -> Finding:
    """All is well."""
    return Finding(Status.OK, check, text, subject=subject)


def warn(check: str, text: str, advice: str, *, subject: str | None = None) -> Finding:
    """Something to know; a test can be run."""
    return Finding(Status.WARN, check, text, advice, subject)


def misconfigured(check: str, text: str, advice: str, *, subject: str | None = None) -> Finding:
    """Nothing of a test, or of this part of it, could be sent until the configuration is changed."""
    return Finding(Status.FAIL, check, text, advice, subject)


def could_not_tell(check: str, text: str, advice: str, *, subject: str | None = None) -> Finding:
    """Nothing is known: the other side is silent or busy."""
    return Finding(Status.FAIL, check, text, advice, subject, is_open=True)


def has_failed(findings: Iterable[Finding]) -> bool:
    """Whether any check failed."""
    return any(finding.status is Status.FAIL for finding in findings)


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """4 where the configuration is wrong, 5 where something could not be told, else 0."""
    failed = [finding for finding in findings if finding.status is Status.FAIL]
    if any(not finding.is_open for finding in failed):
        return ExitCode.USAGE_ERROR
    return ExitCode.INCONCLUSIVE if failed else ExitCode.OK
