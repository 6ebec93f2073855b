"""What GitHub shows beside a job: a line per objective that was missed and per doubt, as workflow commands.

The format and its escapes are those of GitHub's documentation, "Workflow commands for GitHub Actions", and of the
toolkit that implements it (actions/toolkit, packages/core/src/command.ts).
"""

from collections.abc import Iterator

from reports.material import Material
from reports.sections.first_screen import verdict

#: GitHub keeps 10 of each kind for a step.
MAX_OF_A_KIND = 10

_MESSAGE_ESCAPES = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))
_PROPERTY_ESCAPES = (*_MESSAGE_ESCAPES, (":", "%3A"), (",", "%2C"))


def annotations(material: Material) -> list[str]:
    """`::error ...` and `::warning ...` lines, at most 10 of each; none where all is well."""
    found = verdict(material)
    kind = {"FAIL": "error", "INCONCLUSIVE": "warning"}.get(found.status)
    reasons = [found.reason, *found.others] if kind else []
    scenario = str(material.run.get("scenario") or "load test")
    lines = [_command(str(kind), f"{found.status}: {scenario}", reason) for reason in reasons[:MAX_OF_A_KIND]]
    room = MAX_OF_A_KIND - (len(lines) if kind == "warning" else 0)
    return lines + [_command("warning", "Measurement", text) for text in list(_warnings(material))[:room]]


def _warnings(material: Material) -> Iterator[str]:
    """What the generator's checks on itself object to."""
    for check in (material.summary.get("validity") or {}).get("checks") or []:
        if check.get("status") == "WARN":
            yield ". ".join(str(part).rstrip(".") for part in (check.get("reason"), check.get("advice")) if part)


def _command(kind: str, title: str, message: str) -> str:
    return f"::{kind} title={_escaped(title, _PROPERTY_ESCAPES)}::{_escaped(message, _MESSAGE_ESCAPES)}"


def _escaped(text: str, escapes: tuple[tuple[str, str], ...]) -> str:
    for character, code in escapes:
        text = text.replace(character, code)
    return text
