"""Going on with a run that ended before its plan did: which directory, whether that can be, and what it has spent."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedrock.catalog import Catalog
from orchestrator.cell_config import config_hashes
from orchestrator.cell_run import NOTHING_SPENT
from orchestrator.limits import Spending, limits_of
from orchestrator.live import CellWatch
from orchestrator.preflight import Preparation
from orchestrator.results_directory import DEFAULT_PARENT, check_usable, wait_for_writers
from orchestrator.settings import cost_limit_usd
from scenarios.run_directory import CellDirectory, RunDirectory, RunDirectoryError


@dataclass(frozen=True, slots=True)
class Resumption:
    """An earlier run that can be gone on with: its directory, what its `run.json` says, the cells that are kept.

    `run` is None where it was killed before it had written anything.
    """

    directory: RunDirectory
    run: Mapping[str, Any] | None
    kept: frozenset[str] = frozenset()

    def sentence(self, cells: int) -> str:
        """What will happen, for the plan."""
        left = cells - len(self.kept)
        others = "other is run, from its beginning" if left == 1 else "others are run, from their beginning"
        what = f"the {left} {others}" if left else "nothing is left to be sent"
        return f"Resuming {self.directory.path}: {len(self.kept)} of {cells} cells are finished and kept; {what}."


def resumption(preparation: Preparation, hashes: Mapping[str, str]) -> Resumption:
    """What `--resume` goes on with; RunDirectoryError says in a sentence why it cannot be.

    A finished cell is kept if its configuration is the same; `hashes` are those of `cell_config`.
    """
    if preparation.settings.options.force:
        raise RunDirectoryError("--resume keeps results and --force replaces them: give one of them, not both")
    directory = RunDirectory(_place(preparation))
    try:
        if directory.run_json.stat().st_size == 0:  # it was killed before it had written anything
            return Resumption(directory, None)
    except OSError:
        pass  # read_run has the words for it
    run = directory.read_run()
    _check_is_same(run, preparation, directory)
    return Resumption(directory, run, frozenset(_same_cells(run, hashes, directory)))


def check_directory(preparation: Preparation, tell: Callable[[str], None]) -> list[str]:
    """Sentences for the plan about the directory; RunDirectoryError where this run cannot have it.

    What a killed run left behind there is waited for; `tell` is told so.
    """
    options = preparation.settings.options
    place = _place(preparation) if options.resume else options.results_dir
    if place is not None:
        wait_for_writers(place, tell)
    if options.resume:
        found = resumption(preparation, config_hashes(preparation))
        _check_is_affordable(found, preparation)
        return [found.sentence(len(preparation.plan.cells))]
    if place is not None:
        check_usable(place, force=options.force)
    return []


def _check_is_affordable(found: Resumption, preparation: Preparation) -> None:
    """RunDirectoryError where nothing may be sent any more: cells that broke off then keep what they have."""
    settings, scenario = preparation.settings, preparation.settings.scenario
    left = {planned.cell.cell for planned in preparation.plan.cells} - found.kept
    limits = limits_of(scenario.budget, cost_limit_usd(scenario), None)
    reached = limits.reached(spent_in(found.directory, settings.catalog)) if left and limits.is_counted else None
    if reached is not None:
        raise RunDirectoryError(
            f"{found.directory.path} cannot be resumed: what was sent before has used up {reached}; give a higher one"
        )


def _place(preparation: Preparation) -> Path:
    settings = preparation.settings
    return settings.options.results_dir or _latest_of(settings.scenario.name)


def _latest_of(scenario: str) -> Path:
    """The newest default directory of a scenario: their names begin with the time."""
    for path in sorted(DEFAULT_PARENT.glob("*Z-*"), reverse=True):
        try:
            if RunDirectory(path).read_run().get("scenario") == scenario:
                return path
        except RunDirectoryError:
            continue
    raise RunDirectoryError(
        f"there is no run of the scenario {scenario} in {DEFAULT_PARENT} to resume: "
        "name its directory with --results-dir"
    )


def _check_is_same(run: Mapping[str, Any], preparation: Preparation, directory: RunDirectory) -> None:
    settings = preparation.settings
    scenario, where = settings.scenario, f"{directory.path} cannot be resumed"
    if "starts_emulator" not in run:
        raise RunDirectoryError(f"{where}: it was written by plain Locust, or by a version that could not resume")
    if run.get("scenario") != scenario.name:
        raise RunDirectoryError(f"{where}: it holds the scenario {run.get('scenario')}, and not {scenario.name}")
    here, there = _target(settings.options.endpoint_url, scenario.target), _target_of(run)
    if here != there:
        raise RunDirectoryError(f"{where}: it was measured at {there}, and not at {here}")


def _target(endpoint_url: str | None, target: str) -> str:
    return endpoint_url or ("AWS" if target == "aws" else "an emulator of its own")


def _target_of(run: Mapping[str, Any]) -> str:
    return _target(None if run["starts_emulator"] else run.get("endpoint_url"), str(run.get("target")))


def _same_cells(run: Mapping[str, Any], hashes: Mapping[str, str], directory: RunDirectory) -> Iterator[str]:
    for entry in run["cells"]:
        if not isinstance(entry, dict) or entry.get("status") != "finished":
            continue
        name = str(entry.get("cell"))
        is_same = entry.get("config_hash") is not None and entry["config_hash"] == hashes.get(name)
        cell = directory.cell(name)
        if is_same and cell.load_json.exists() and cell.all_requests():  # somebody may have tidied up
            yield name


def spent_in(directory: RunDirectory, catalog: Catalog) -> Spending:
    """What all records of a directory have cost, also those of cells that are run again: it was paid for."""
    total = NOTHING_SPENT
    for path in (*directory.path.glob("cells/*"), *directory.set_aside.glob("*/cell")):
        watch = CellWatch(CellDirectory(path), catalog)
        watch.update()
        total = total + Spending(watch.tally.sent, watch.tally.cost_usd)
    return total
