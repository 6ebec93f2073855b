"""Where a result goes beside its directory: GitHub's job summary and annotations, and a webhook.

None of them can change a result: what goes wrong is a sentence on stderr.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from orchestrator.webhook import post
from reports.annotations import annotations
from reports.material import Material, prepare
from reports.webhook import webhook_payload
from scenarios.run_directory import RunDirectory

Say = Callable[[str], object]


def add_to_job_summary(directory: RunDirectory, environ: Mapping[str, str], say: Say) -> None:
    """In a GitHub job, append summary.md to what GitHub shows of it."""
    file = environ.get("GITHUB_STEP_SUMMARY")
    if not file:
        return
    try:
        with Path(file).open("a", encoding="utf-8") as summary:
            summary.write(directory.summary_md.read_text(encoding="utf-8"))
    except OSError as error:
        say(f"The summary of the GitHub job could not be written: {error.strerror}")


def annotate(directory: RunDirectory, summary: Mapping[str, Any], environ: Mapping[str, str], say: Say) -> None:
    """In a GitHub job, say what GitHub turns into annotations; it reads stderr as well as stdout."""
    if environ.get("GITHUB_ACTIONS") == "true":
        for line in annotations(_material(directory, summary)):
            say(line)


def post_to_webhook(url: str, directory: RunDirectory, summary: Mapping[str, Any], say: Say) -> None:
    """Post the result's message; a sentence where that did not work."""
    failure = post(url, json.dumps(webhook_payload(_material(directory, summary))).encode())
    if failure is not None:
        say(f"The webhook could not be reached: {failure}. The result is not affected.")


def _material(directory: RunDirectory, summary: Mapping[str, Any]) -> Material:
    """What the messages are made of; none of them looks at a record."""
    return prepare(summary, directory.read_run(), pd.DataFrame())
