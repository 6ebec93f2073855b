"""The message to a chat: verdict, objectives and headline numbers as the JSON that Slack's incoming webhooks take.

Slack's documentation: "Sending messages using incoming webhooks" and "Formatting text for app surfaces" (`&`, `<` and
`>` are the characters to escape). Services that are compatible with it show `text`, and ignore `blocks`.
"""

import re
from collections.abc import Mapping
from typing import Any

from reports.material import Material
from reports.sections import first_screen
from reports.text import shorten

_SHAPES = {"pass": "✅", "fail": "❌", "unclear": "⚠️"}
_MAX_LINES = 10
#: Slack refuses a header above 150 characters and a text above 3,000.
_HEADER_LIMIT, _LINE_LIMIT, _TEXT_LIMIT = 140, 240, 2800
_MENTION = re.compile(r"@(?=\w)")


def webhook_payload(material: Material) -> dict[str, Any]:
    """The document to post. All foreign text is escaped, without mentions, and bounded; secrets are masked."""
    found = first_screen.verdict(material)
    scenario = str(material.run.get("scenario") or "load test")
    title = f"{_SHAPES.get(found.tone, '')} {found.status}: {scenario}"
    parts = [
        _lines([found.reason, *found.others]),
        _lines(_objectives(material)),
        _lines(_figures(material)),
        _context(material),
    ]
    body = [part for part in parts if part]
    header = {"type": "header", "text": {"type": "plain_text", "text": shorten(_quiet(title), _HEADER_LIMIT)}}
    return {
        "text": f"{_plain(shorten(title, _HEADER_LIMIT))}\n{body[0]}",
        "mrkdwn": False,
        "blocks": [header, *({"type": "section", "text": {"type": "mrkdwn", "text": part}} for part in body)],
    }


def _objectives(material: Material) -> list[str]:
    return [
        f"{_SHAPES.get(row[1].tone or '', '')} {row[0].text}: {row[2].text}"
        for row in first_screen.objectives_table(material).rows
    ]


def _figures(material: Material) -> list[str]:
    latency = [
        f"{row[0].text}: p50 {row[1].text} ms, p95 {row[2].text} ms, n {row[4].text}"
        for row in first_screen.headline_latency(material).rows
    ]
    return [
        *latency,
        *(f"{each.label}: {each.value} ({each.basis})" for each in first_screen.headline_figures(material)),
    ]


def _context(material: Material) -> str:
    run: Mapping[str, Any] = material.run
    found = first_screen.verdict(material)
    known = [("run", run.get("run_id")), ("target", run.get("target")), ("exit code", found.exit_code)]
    known.append(("measurement", found.validity))
    return _plain(shorten(", ".join(f"{name}: {value}" for name, value in known if value is not None), _LINE_LIMIT))


def _lines(lines: list[str]) -> str:
    shown = [_plain(shorten(line, _LINE_LIMIT)) for line in lines[:_MAX_LINES]]
    if len(lines) > _MAX_LINES:
        shown.append(f"and {len(lines) - _MAX_LINES} more")
    return "\n".join(shown)[:_TEXT_LIMIT]


def _plain(text: str) -> str:
    """Text that a chat shows as it is: no link, no markup of Slack's, nobody called."""
    return _quiet(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _quiet(text: str) -> str:
    return _MENTION.sub("@\u200b", text)
