"""Leave to spend money, asked for before the first paid request."""

from typing import TextIO

from orchestrator.preflight import Preparation
from orchestrator.settings import Settings
from scenarios.loading import Problem, ScenarioError


def require_consent(preparation: Preparation, stdin: TextIO, stderr: TextIO) -> None:
    """Return if the suite may start; ScenarioError if it costs money and nobody agreed to that.

    Asks on a terminal; without one, `--yes` is the only way to agree.
    """
    settings = preparation.settings
    if not settings.is_paid or settings.options.assume_yes:
        return
    if not (stdin.isatty() and stderr.isatty()):
        raise ScenarioError(
            Problem("--yes", f"{_where(settings)} and there is no terminal to ask on: confirm with --yes")
        )
    stderr.write(f"{_where(settings)}. Start? [y/N] ")
    stderr.flush()
    if stdin.readline().strip().lower() not in ("y", "yes"):
        raise ScenarioError(Problem("confirmation", "not given; nothing was sent"))


def _where(settings: Settings) -> str:
    where = settings.options.endpoint_url or f"AWS {', '.join(settings.regions)}"
    return f"this sends paid requests to {where}"
