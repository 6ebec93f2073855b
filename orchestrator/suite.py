"""Runs a suite: the emulator around it, its cells, analysis and reports at the end, always."""

import json
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from orchestrator.cell_loop import CellLoop
from orchestrator.cell_run import CellRunner
from orchestrator.cell_times import make_queue, suite_s
from orchestrator.credential_expiry import credential_expiry
from orchestrator.exit_codes import ExitCode
from orchestrator.limits import Spending, StopReason, limits_of
from orchestrator.locust_command import RunIdentity
from orchestrator.preflight import Preparation
from orchestrator.progress import Progress
from orchestrator.results_directory import open_directory, reopen_directory, set_aside
from orchestrator.resume import Resumption, resumption, spent_in
from orchestrator.run_document import RunDocument, RunStart
from orchestrator.settings import cost_limit_usd
from orchestrator.supervision import Signals
from reports.render import write_reports
from scenarios.cells import Cell
from scenarios.order import run_order
from scenarios.run_directory import RunDirectory, write_text
from scenarios.usage_book import SharedBook, Usage, new_book

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
        result = finish(directory, with_charts=not options.no_charts)
        document.finish(result.exit_code)
    except BaseException:
        write_text(directory.path / ERROR_LOG, traceback.format_exc())
        _rescue(directory, document, with_charts=not options.no_charts)
        raise
    return result


def _reopen(preparation: Preparation, hashes: Mapping[str, str]) -> Resumption:
    """The earlier run, looked at again now that its directory is locked: it may have gone on since."""
    reopen_directory(resumption(preparation, hashes).directory.path)
    return resumption(preparation, hashes)


def finish(
    directory: RunDirectory, overrides: Mapping[str, Any] | None = None, *, with_charts: bool = True
) -> SuiteResult:
    """Analyse a results directory and write its summary and reports; `overrides` as in `analyse`."""
    analysis = analyse(directory.path, overrides=overrides)
    write_summary(directory.path, analysis)
    write_reports(directory.path, analysis, with_charts=with_charts)
    return SuiteResult(ExitCode(analysis.summary["verdict"]["exit_code"]), directory, analysis.summary)


def _rescue(directory: RunDirectory, document: RunDocument, *, with_charts: bool) -> None:
    """After a bug: mark the run as ended by it, and write what can still be written of its results."""
    document.fail(now())
    finish(directory, with_charts=with_charts)


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
        settings, plan = self.preparation.settings, self.preparation.plan
        scenario, kept = settings.scenario, len(self.earlier.kept)
        spent = spent_in(self.directory, settings.catalog)
        with _endpoint(self.preparation, self.directory) as (endpoint, died), self._book(spent) as book:
            self.document.set_endpoint(endpoint.url)
            runner = CellRunner(
                identity=self._identity(endpoint),
                limits=limits_of(scenario.budget, cost_limit_usd(scenario), credential_expiry(endpoint)),
                signals=self.signals,
                cells=len(plan.cells),
                planned_s=suite_s(settings, plan, left),
                catalog=settings.catalog,
                spent=spent,
                done=kept,
            )
            loop = CellLoop(
                preparation=self.preparation,
                queue=make_queue(settings, plan, left),
                runner=runner,
                document=self.document,
                progress=self.progress,
                endpoint_died=died,
                cells={cell.cell: cell for cell in left},
                kept=kept,
                settle=book.settle,
            )
            return loop.run() or _limit_in(book)

    @contextmanager
    def _book(self, spent: Spending) -> Iterator[SharedBook]:
        """The file in which all load processes count what they use up, as long as there are any."""
        path = self.directory.usage
        book = new_book(path, Usage(spent.requests, spent.requests, spent.cost_usd))
        try:
            yield book
        finally:
            book.close()
            path.unlink(missing_ok=True)

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
        )


def _limit_in(book: SharedBook) -> StopReason | None:
    """The limit that the load processes have come to: also in the last moment of the last cell."""
    with book.entry() as usage:
        return None if usage.limit is None else StopReason(usage.limit)


@contextmanager
def _endpoint(preparation: Preparation, directory: RunDirectory) -> Iterator[tuple[Endpoint, Callable[[], str | None]]]:
    """Where calls go: the given endpoint, AWS, or an emulator that lives as long as this context; and if it died."""
    settings = preparation.settings
    if not settings.starts_emulator:
        yield settings.endpoint, lambda: None
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
            why = f"the emulator died; its log is {directory.emulator / 'emulator.log'}"
            yield Endpoint(settings.options.region, emulator.url), lambda: None if emulator.is_running else why
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
