"""Runs a suite: the emulator around it, one cell after the other, analysis and reports at the end, always."""

import json
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from analysis.summary import analyse, write_summary
from bedrock.catalog import default_catalog, id_to_send, is_arn, profile_id, split_model_id
from bedrock.clock import now
from bedrock.endpoint import Endpoint
from bedrock.outcome import mask_accounts
from emulator.process import EmulatorError, EmulatorProcess
from orchestrator.cell_config import config_hashes
from orchestrator.cell_run import CellRunner
from orchestrator.credential_expiry import credential_expiry
from orchestrator.exit_codes import ExitCode
from orchestrator.limits import StopReason, limits_of
from orchestrator.locust_command import RunIdentity
from orchestrator.preflight import Preparation
from orchestrator.progress import Progress
from orchestrator.results_directory import open_directory, reopen_directory, set_aside
from orchestrator.resume import Resumption, planned_s, resumption, spent_in
from orchestrator.run_document import RunDocument, RunStart
from orchestrator.settings import cost_limit_usd
from orchestrator.supervision import POLL_INTERVAL_S, Signals
from reports.render import write_reports
from scenarios.cells import Cell
from scenarios.order import run_order
from scenarios.run_directory import RunDirectory, write_text
from scenarios.units import format_duration

#: Traceback of a bug that ended a run.
ERROR_LOG = "internal_error.log"


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What a suite left behind."""

    exit_code: ExitCode
    directory: RunDirectory
    summary: dict[str, Any]


def run_suite(preparation: Preparation, start: RunStart, progress: Progress, signals: Signals) -> SuiteResult:
    """Run all cells and write everything; also after an interruption, a limit, or a bug in here."""
    settings = preparation.settings
    options = settings.options
    hashes = config_hashes(preparation)
    if options.resume:
        earlier = _reopen(preparation, hashes)
    else:
        name, force = settings.scenario.name, options.force
        earlier = Resumption(open_directory(options.results_dir, name, start.started_at, force=force), None)
    directory = earlier.directory
    write_text(directory.effective_yaml, settings.effective_yaml(preparation.notes))
    if options.prices_file is not None:  # kept with the results: a later report counts with the same prices
        write_text(directory.prices_yaml, options.prices_file.read_text(encoding="utf-8"))
    document = RunDocument(
        directory,
        settings,
        preparation.cells,
        start,
        preparation.system,
        hashes=hashes,
        earlier=earlier.run,
        kept=earlier.kept,
    )
    if options.resume:  # what is pending in run.json by now begins with nothing, also if this is killed half-way
        set_aside(directory, earlier.kept)
    suite = _Suite(preparation, earlier, document, progress, signals)
    try:
        stopped_by = suite.send_load()
        document.end(now(), stopped_by)
        progress.note("Analysing and writing the report ...")
        result = finish(directory)
        document.finish(result.exit_code)
    except BaseException:
        write_text(directory.path / ERROR_LOG, traceback.format_exc())
        _rescue(directory, document)
        raise
    return result


def _reopen(preparation: Preparation, hashes: Mapping[str, str]) -> Resumption:
    """The earlier run, looked at again now that its directory is locked: it may have gone on since."""
    reopen_directory(resumption(preparation, hashes).directory.path)
    return resumption(preparation, hashes)


def finish(directory: RunDirectory, overrides: Mapping[str, Any] | None = None) -> SuiteResult:
    """Analyse a results directory and write its summary and reports; `overrides` as in `analyse`."""
    analysis = analyse(directory.path, overrides=overrides)
    write_summary(directory.path, analysis)
    write_reports(directory.path, analysis)
    return SuiteResult(ExitCode(analysis.summary["verdict"]["exit_code"]), directory, analysis.summary)


def _rescue(directory: RunDirectory, document: RunDocument) -> None:
    """After a bug: mark the run as ended by it, and write what can still be written of its results."""
    document.fail(now())
    finish(directory)


@dataclass(frozen=True, slots=True)
class _Suite:
    """A suite with everything it needs to send its load."""

    preparation: Preparation
    earlier: Resumption
    document: RunDocument
    progress: Progress
    signals: Signals

    @property
    def directory(self) -> RunDirectory:
        """Where everything is written."""
        return self.earlier.directory

    def send_load(self) -> StopReason | None:
        """Run all cells that are left; what stopped them before their end, if anything did."""
        scenario = self.preparation.settings.scenario
        left = [
            cell
            for cell in run_order(self.preparation.cells, scenario.order, scenario.seed)
            if cell.cell not in self.earlier.kept
        ]
        if not left:
            return None
        try:
            return self._send(left)
        except EmulatorError as error:  # nothing was sent: the cells stay pending and can be resumed
            self.progress.note(str(error))
            return None

    def _send(self, left: Sequence[Cell]) -> StopReason | None:
        scenario = self.preparation.settings.scenario
        with _endpoint(self.preparation, self.directory) as (endpoint, is_alive):
            self.document.set_endpoint(endpoint.url)
            runner = CellRunner(
                identity=self._identity(endpoint),
                limits=limits_of(scenario.budget, cost_limit_usd(scenario), credential_expiry(endpoint)),
                signals=self.signals,
                progress=self.progress,
                cells=len(self.preparation.plan.cells),
                planned_s=planned_s(self.preparation, left),
                spent=spent_in(self.directory, self.preparation.settings.catalog),
                catalog=self.preparation.settings.catalog,
            )
            return self._run_cells(left, runner, is_alive)

    def _run_cells(
        self, cells: Sequence[Cell], runner: CellRunner, endpoint_is_alive: Callable[[], bool]
    ) -> StopReason | None:
        for number, cell in enumerate(cells, start=1 + len(self.earlier.kept)):
            if cell is not cells[0]:
                self._cool_down()
            stop = StopReason.INTERRUPT if self.signals.asked_to_stop else runner.limit_reached()
            if stop is not None:
                return stop
            name = cell.cell
            self.document.set_status(name, "running")
            end = runner.run(cell, self.preparation.slots(cell), number)
            if not endpoint_is_alive():
                why = f"the emulator died; its log is {self.directory.emulator / 'emulator.log'}"
                end = replace(end, status="failed", reason=why)
            self.document.set_status(name, end.status, end.reason)
            if end.status != "finished":
                log = f"\n{end.log}" if end.log else ""
                self.progress.note(f"Cell {name} {end.status}: {end.reason}{log}")
            if end.stopped_by is not None:
                return end.stopped_by
            if not endpoint_is_alive():  # the cells that are left stay pending
                return None
        return None

    def _cool_down(self) -> None:
        """Let quota windows pass, unless a signal comes."""
        cool_down_s = self.preparation.settings.scenario.order.cool_down_s
        if cool_down_s:
            self.progress.note(f"Cooling down for {format_duration(cool_down_s)}")
        until = time.monotonic() + cool_down_s
        while time.monotonic() < until and not self.signals.asked_to_stop:
            time.sleep(min(POLL_INTERVAL_S, max(until - time.monotonic(), 0.0)))

    def _identity(self, endpoint: Endpoint) -> RunIdentity:
        settings = self.preparation.settings
        return RunIdentity(
            run_id=self.document.run_id,
            directory=self.directory,
            endpoint=endpoint,
            target=settings.scenario.target,
            transport=settings.scenario.transport,
            prompts_file=self.preparation.prompts_file,
            seed=settings.scenario.seed,
            processes=settings.scenario.processes,
            include_failures=settings.options.include_failures,
            record_responses=settings.options.record_responses,
            retry=settings.scenario.retry,
            failover=settings.scenario.failover,
            request=settings.scenario.request,
            prices_file=settings.options.prices_file,
            master_port=_free_port() if settings.scenario.processes > 1 else None,
        )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def _endpoint(preparation: Preparation, directory: RunDirectory) -> Iterator[tuple[Endpoint, Callable[[], bool]]]:
    """Where calls go: the given endpoint, AWS, or an emulator that lives as long as this context; and if it lives."""
    settings = preparation.settings
    if not settings.starts_emulator:
        yield settings.endpoint, lambda: True
        return
    aliases = _aliases(preparation.cells)
    config = settings.scenario.emulator
    if aliases:
        config = {**(config or {}), "aliases": aliases | (config or {}).get("aliases", {})}
    shown = yaml.safe_dump(config or {}, sort_keys=False, allow_unicode=True, width=10_000)
    write_text(directory.emulator / "config.yaml", mask_accounts(shown))
    with EmulatorProcess(
        config=config,
        seed=settings.scenario.seed,
        truth_log=directory.truth_log,
        log=directory.emulator / "emulator.log",
    ) as emulator:
        try:
            yield Endpoint(settings.options.region, emulator.url), lambda: emulator.is_running
        finally:
            _keep_stats(emulator, directory)
    if any(cell.model_id is not None and is_arn(cell.model_id) for cell in preparation.cells):
        _mask_truth(directory.truth_log)


def _aliases(cells: Sequence[Cell]) -> dict[str, str]:
    """ARNs of the cells that do not say which model they stand for, and the model that the user says they do."""
    arns = {cell.model_id for cell in cells if cell.model_id is not None and is_arn(cell.model_id)}
    parts = {arn: split_model_id(arn) for arn in sorted(arns) if default_catalog().find(id_to_send(arn)) is None}
    return {id_to_send(arn): profile_id(part.base, part.prefix) for arn, part in parts.items()}


def _mask_truth(truth_log: Path) -> None:
    """The emulator writes ids as they were sent; what stays in the results has no account ids."""
    masked = truth_log.with_suffix(".masked")
    with truth_log.open(encoding="utf-8") as lines, masked.open("w", encoding="utf-8") as kept:
        kept.writelines(map(mask_accounts, lines))
    masked.replace(truth_log)


def _keep_stats(emulator: EmulatorProcess, directory: RunDirectory) -> None:
    """Keep the emulator's own totals beside its truth log; one that has died has none left to tell."""
    try:
        stats = json.dumps(emulator.stats(), ensure_ascii=False, indent=2, allow_nan=False)
        write_text(directory.emulator / "stats.json", mask_accounts(stats) + "\n")
    except EmulatorError as error:
        write_text(directory.emulator / "stats.error.txt", f"The emulator did not answer: {error}\n")
