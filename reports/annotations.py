"""What GitHub shows beside a job: a line per objective that was missed and per doubt, as workflow commands.

The format and its escapes are those of GitHub's documentation, "Workflow commands for GitHub Actions", and of the
toolkit that implements it (actions/toolkit, packages/core/src/command.ts).
"""

from collections.abc import Iterator

from reports.material import Material
from reports.sections.first_screen import verdict

#: GitHub keeps 10 of each kind for a step.
MAX_OF_A_KIND = 10

#: How reasons of a FAIL begin that a change of the product caused; the others are doubts.
_MISSES = ("Missed", "Regressed")

_MESSAGE_ESCAPES = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))
_PROPERTY_ESCAPES = (*_MESSAGE_ESCAPES, (":", "%3A"), (",", "%2C"))


def annotations(material: Material) -> list[str]:
    """`::error ...` and `::warning ...` lines, at most 10 of each; none where all is well."""
    found = verdict(material)
    title = f"{found.status}: {material.run.get('scenario') or 'load test'}"
    doubts = list(_doubts(material))
    told = tuple(reason for reason, _ in doubts)
    reasons = [] if found.status == "PASS" else [each for each in (found.reason, *found.others) if each not in told]
    is_error = [found.status == "FAIL" and each.startswith(_MISSES) for each in reasons]
    errors = [_command("error", title, each) for each, is_one in zip(reasons, is_error, strict=True) if is_one]
    warnings = [_command("warning", title, each) for each, is_one in zip(reasons, is_error, strict=True) if not is_one]
    warnings += [_command("warning", "Measurement", text) for _, text in doubts]
    return errors[:MAX_OF_A_KIND] + warnings[:MAX_OF_A_KIND]


def _doubts(material: Material) -> Iterator[tuple[str, str]]:
    """What the generator's checks on itself object to: the reason, and the reason with what to do."""
    for check in (material.summary.get("validity") or {}).get("checks") or []:
        if check.get("status") == "WARN":
            said = (check.get("reason"), check.get("advice"))
            yield str(said[0]), ". ".join(str(part).rstrip(".") for part in said if part)


def _command(kind: str, title: str, message: str) -> str:
    return f"::{kind} title={_escaped(title, _PROPERTY_ESCAPES)}::{_escaped(message, _MESSAGE_ESCAPES)}"


def _escaped(text: str, escapes: tuple[tuple[str, str], ...]) -> str:
    for character, code in escapes:
        text = text.replace(character, code)
    return text
