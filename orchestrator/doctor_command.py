"""`run_tests.py doctor`: a check-up from the command line to its exit code."""

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from orchestrator.doctor import Doctor
from orchestrator.doctor_plan import chosen_transports, without_both
from orchestrator.doctor_report import Checkup, document, text
from orchestrator.exit_codes import ExitCode
from orchestrator.preflight import prepare
from orchestrator.settings import resolve
from orchestrator.tables import print_all

Show = Callable[[TextIO], None]


def check_up(
    scenario_file: Path, arguments: Mapping[str, Any], environ: Mapping[str, str], *, has_plan: bool
) -> tuple[ExitCode, Show]:
    """Check what a scenario needs: the exit code, and what prints the result. ScenarioError where it has mistakes.

    `has_plan` is whether the scenario was named, so that its load is meant and not only its models.
    """
    given, kept = without_both(arguments, environ)
    settings = resolve(scenario_file, given, kept)
    transports = chosen_transports(arguments, environ, settings)
    doctor = Doctor(prepare(settings), transports, has_plan, sys.stdin, sys.stderr)
    try:
        checkup = doctor.examine()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; requests that had been sent may be billed\n")
        return ExitCode.INTERRUPTED, lambda _: None
    shown = _as_json if settings.options.output_format == "json" else _as_text
    return checkup.exit_code, partial(shown, checkup)


def _as_json(checkup: Checkup, stdout: TextIO) -> None:
    stdout.write(json.dumps(document(checkup), ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def _as_text(checkup: Checkup, stdout: TextIO) -> None:
    print_all(stdout, text(checkup))
