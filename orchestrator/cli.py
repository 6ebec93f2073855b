"""The command: what was asked for, done, and turned into an exit code."""

import argparse
import errno
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedrock.clock import now
from bedrock.outcome import mask_accounts
from bedrock.prices import PricesError
from orchestrator import assignments
from orchestrator.answer import RefusalError
from orchestrator.command_line import (
    SCENARIOS,
    Parser,
    UsageError,
    add_flag,
    add_format,
    find_scenario,
    from_here,
    output_format_of,
    print_json,
    reader_may_leave,
    to_nowhere,
)
from orchestrator.consent import require_consent
from orchestrator.doctor_findings import EPILOG as DOCTOR_EPILOG
from orchestrator.exit_codes import ExitCode, worst
from orchestrator.flags import RUN_ONLY, SCENARIO_FLAGS, without_secrets
from orchestrator.identity import new_run_id
from orchestrator.known_quotas import with_known_quotas
from orchestrator.other_commands import COMMANDS, Command
from orchestrator.preflight import Preparation, check_cost_is_known, check_surroundings, prepare
from orchestrator.progress import event_line, make_progress
from orchestrator.resume import check_directory
from orchestrator.run_document import RunStart
from orchestrator.settings import REPORT_FLAGS, report_settings, resolve
from orchestrator.supervision import Signals
from orchestrator.tables import plan_document, plan_text, print_all, results_text, settings_table
from scenarios.field_types import did_you_mean
from scenarios.loading import Problem, ScenarioError
from scenarios.run_directory import RunDirectory, RunDirectoryError

if TYPE_CHECKING:
    from orchestrator.suite import SuiteResult

#: A disk, a quota or a permitted size that is used up, a disk that was made read-only: no bug of this program.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)

VERBS = ("run", "plan", "doctor", "report", *COMMANDS)
DEFAULT_SCENARIO = SCENARIOS / "permutations.yaml"

_EPILOG = """exit codes:
  0 all objectives met          4 configuration or usage error, nothing sent
  1 an objective failed         5 inconclusive: no data, too few samples, generator saturated
  2 interrupted                 6 stopped by a safety limit (cost, requests, error rate,
  3 internal error                credentials about to expire)

Every flag has an environment variable of the same name in capitals (--test-duration is TEST_DURATION).
A flag wins over --set, that over the environment, that over the scenario, that over the default; plan shows where
values came from.
"""

_PURPOSES = {
    "run": "Run a suite of load tests",
    "plan": "Print what a suite would send and cost; send nothing to Bedrock. With --target aws Service Quotas is "
    "asked for the account's quotas: a read-only call, without which the plan goes on",
    "doctor": "Check credentials, endpoint, models, tiers and quotas with a tiny request for each; see docs/doctor.md",
}
_OTHER_COMMANDS = (
    "Other commands: plan (send nothing), validate FILE, doctor (check first), report DIR, compare DIR BASELINE, list, "
    "schema, prices, reconcile DIR."
)


def main(arguments: Sequence[str]) -> int:
    """Run the command; its exit code. One clear sentence on stderr for each thing the user can put right."""
    _have_streams()
    try:
        return _dispatch(list(arguments))
    except (UsageError, RefusalError, ScenarioError, RunDirectoryError, PricesError) as error:
        for sentence in _sentences(error):
            _tell(f"error: {mask_accounts(sentence)}\n")
        return ExitCode.USAGE_ERROR
    except BrokenPipeError:  # the reader of our stdout has gone: nothing more to tell it
        to_nowhere(sys.stdout)
        return ExitCode.INTERNAL_ERROR
    except Exception as error:  # noqa: BLE001 - the last resort: an exit code and a log instead of a bare traceback
        return _confess(error)


def _have_streams() -> None:
    """Give a process that was started with closed streams somewhere to write to; an encoding is no reason to fail."""
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _sentences(error: ValueError) -> list[str]:
    if isinstance(error, ScenarioError):
        return [str(problem) for problem in error.problems]
    return [f"{error} (see python run_tests.py --help)" if isinstance(error, UsageError) else str(error)]


def _confess(error: Exception) -> int:
    """Report a bug: one sentence for the user, the traceback in a file."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        _tell(f"error: {error.strerror}. What was written stays; when there is room again, --resume goes on with it\n")
        return ExitCode.INTERNAL_ERROR
    with tempfile.NamedTemporaryFile("w", prefix="run_tests-", suffix=".log", delete=False, encoding="utf-8") as log:
        log.write("".join(traceback.format_exception(error)))
    _tell(f"internal error: {type(error).__name__}: {error}\nThe traceback is in {log.name}\n")
    return ExitCode.INTERNAL_ERROR


def _note(text: str, *, as_json: bool) -> None:
    _tell((event_line("note", {"text": text}) if as_json else text) + "\n")


def _tell(text: str) -> None:
    with reader_may_leave(sys.stderr):
        sys.stderr.write(text)


def _dispatch(arguments: list[str]) -> int:
    _check_are_text(arguments)
    verb = arguments[0] if arguments and arguments[0] in VERBS else None
    if verb is None and arguments and not arguments[0].startswith("-"):
        _check_is_scenario(arguments[0])
    rest = arguments[1:] if verb else arguments
    chosen = verb or "run"
    command = (COMMANDS | _OWN)[chosen]
    parser = command.make_parser()
    namespace = parser.parse_intermixed_args(rest)
    return command.act(namespace, arguments)


def _check_are_text(words: Sequence[str]) -> None:
    """Bytes that are no UTF-8 could not be written into any file of the results."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"{word!r} is not text in UTF-8") from error


def _check_is_scenario(word: str) -> None:
    """A first word that is neither verb nor file is most likely a mistyped verb."""
    if find_scenario(word).exists():
        return
    raise UsageError(f"{word!r} is neither a command nor a scenario file.{did_you_mean(word, _known_words())}")


def _known_words() -> list[str]:
    return [*VERBS, *sorted(path.stem for path in SCENARIOS.glob("*.yaml"))]


def _run_parser(verb: str) -> argparse.ArgumentParser:
    parser = Parser(
        prog=f"run_tests.py{'' if verb == 'run' else f' {verb}'}",
        description=f"{_PURPOSES[verb]}. {_OTHER_COMMANDS}",
        epilog=DOCTOR_EPILOG if verb == "doctor" else _EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO.yaml", help="default: the permutation suite")
    for title, flags in (("what is tested", SCENARIO_FLAGS), ("this run", RUN_ONLY)):
        group = parser.add_argument_group(title)
        for flag in flags:
            add_flag(group, flag)
        if flags is SCENARIO_FLAGS:
            group.add_argument(
                assignments.FLAG,
                action="append",
                default=None,
                dest="set_values",
                metavar=assignments.METAVAR,
                help=assignments.HELP,
            )
    return parser


def _report_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="run_tests.py report",
        description="Analyse a results directory again and render its report; no network.",
        epilog="The exit code is that of the verdict.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="a results directory")
    add_format(parser)
    for flag in REPORT_FLAGS:
        add_flag(parser, flag)
    return parser


def _prepare_all(namespace: argparse.Namespace) -> list[Preparation]:
    """Every scenario validated and planned, before any is started; ScenarioError with the problems of all."""
    files = [find_scenario(word) for word in namespace.scenarios] or [from_here(DEFAULT_SCENARIO)]
    prepared: list[Preparation] = []
    problems: list[Problem] = []
    for file in files:
        try:
            given = vars(namespace) | _own_results_dir(namespace, file, len(files))
            prepared.append(with_known_quotas(prepare(resolve(file, given, os.environ))))
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(*dict.fromkeys(problems))
    return prepared


def _own_results_dir(namespace: argparse.Namespace, file: Path, files: int) -> dict[str, str]:
    """Several scenarios share a `--results-dir` by one folder each; a single one gets it exactly as given."""
    given = namespace.results_dir or os.environ.get("RESULTS_DIR")
    return {"results_dir": str(Path(given) / file.stem)} if given and files > 1 else {}


def _plan(namespace: argparse.Namespace, _arguments: list[str]) -> int:
    prepared = _prepare_all(namespace)
    if prepared[0].settings.options.output_format == "json":
        documents = [plan_document(preparation) for preparation in prepared]
        print_json(documents[0] if len(documents) == 1 else {"schema_version": 1, "plans": documents})
        return ExitCode.OK
    for preparation in prepared:
        shown = [*plan_text(preparation), *_baseline_warnings(preparation)]
        print_all(sys.stdout, [*_masked(shown), settings_table(preparation.settings)])
    return ExitCode.OK


def _doctor(namespace: argparse.Namespace, _arguments: list[str]) -> int:
    # botocore takes 0.2 s to import: only this command needs it here.
    from orchestrator.doctor_command import check_up  # noqa: PLC0415

    if len(namespace.scenarios) > 1:
        raise UsageError("doctor takes one scenario at a time")
    file = find_scenario(namespace.scenarios[0]) if namespace.scenarios else from_here(DEFAULT_SCENARIO)
    exit_code, show = check_up(file, vars(namespace), os.environ, has_plan=bool(namespace.scenarios))
    with reader_may_leave(sys.stdout):
        show(sys.stdout)
    return exit_code


def _run(namespace: argparse.Namespace, arguments: list[str]) -> int:
    prepared = _prepare_all(namespace)
    if prepared[0].settings.options.dry_run:
        return _plan(namespace, arguments)
    for preparation in prepared:
        check_surroundings(preparation.settings)
        check_cost_is_known(preparation)
    _refuse_shared_directories(prepared)
    as_json = prepared[0].settings.options.output_format == "json"
    remarks = [check_directory(preparation, partial(_note, as_json=as_json)) for preparation in prepared]
    for preparation, remark in zip(prepared, remarks, strict=True):
        with reader_may_leave(sys.stderr):
            _announce(preparation, remark, as_json=as_json)
        require_consent(preparation, sys.stdin, sys.stderr)
    results: list[SuiteResult] = []
    with Signals() as signals:
        for preparation in prepared:
            results.append(_run_one(preparation, arguments, signals))
            if not as_json:
                with reader_may_leave(sys.stdout):
                    _print_result(results[-1])
            _publish(results[-1], preparation.settings.options.webhook_url, as_json=as_json)
            if signals.asked_to_stop:
                break
        if as_json:
            documents = [_result_document(result) for result in results]
            with reader_may_leave(sys.stdout):
                print_json(documents[0] if len(prepared) == 1 else {"schema_version": 1, "runs": documents})
    left_over = [ExitCode.INTERRUPTED] if len(results) < len(prepared) else []
    return worst([*(result.exit_code for result in results), *left_over])


def _announce(preparation: Preparation, remark: Sequence[str], *, as_json: bool) -> None:
    """The plan on stderr, before anything is sent."""
    if as_json:
        plan = plan_document(preparation)
        sys.stderr.write(event_line("plan", plan | {"notes": [*plan["notes"], *remark]}) + "\n")
    else:
        print_all(sys.stderr, [*_masked([*plan_text(preparation), *_baseline_warnings(preparation)]), *remark])


def _baseline_warnings(preparation: Preparation) -> list[str]:
    if preparation.settings.options.baseline is None:
        return []
    from orchestrator.baseline_check import foreseeable_gaps  # noqa: PLC0415 - brings the analysis

    return foreseeable_gaps(preparation)


def _refuse_shared_directories(prepared: Sequence[Preparation]) -> None:
    """RunDirectoryError where two suites of one command would write into the same directory."""
    given = [preparation.settings.options.results_dir for preparation in prepared]
    for path in given:
        if path is not None and given.count(path) > 1:
            raise RunDirectoryError(f"two scenarios of the same name would both write {path}: run them one at a time")


def _run_one(preparation: Preparation, arguments: list[str], signals: Signals) -> "SuiteResult":
    # Analysis and reports take a second to import: only a run that starts pays for it.
    from orchestrator.suite import run_suite  # noqa: PLC0415

    at = now()
    recorded = tuple(without_secrets(arguments))
    start = RunStart(new_run_id(preparation.settings.scenario.name, at), recorded, at)
    progress = make_progress(as_events=preparation.settings.options.output_format == "json")
    try:
        return run_suite(preparation, start, progress, signals)
    finally:
        progress.close()


def _report(namespace: argparse.Namespace, _arguments: list[str]) -> int:
    from orchestrator.suite import finish  # noqa: PLC0415

    output_format = output_format_of(namespace)
    directory = RunDirectory(namespace.directory)
    directory.read_run()
    overrides, with_charts = report_settings(vars(namespace), os.environ)
    result = finish(directory, overrides, with_charts=with_charts)
    if output_format == "json":
        print_json(_result_document(result))
    else:
        _print_result(result)
    _publish(result, None, as_json=output_format == "json")
    return result.exit_code


def _publish(result: "SuiteResult", webhook_url: str | None, *, as_json: bool) -> None:
    """Tell GitHub and the webhook, where there is one; in JSON mode stderr belongs to the events."""
    from orchestrator.outlets import add_to_job_summary, annotate, post_to_webhook  # noqa: PLC0415 - brings reports

    def say(text: str) -> None:
        sys.stderr.write((event_line("note", {"text": text}) if as_json else mask_accounts(text)) + "\n")

    with reader_may_leave(sys.stderr):
        add_to_job_summary(result.directory, os.environ, say)
        if not as_json:
            annotate(result.directory, result.summary, os.environ, say)
        if webhook_url is not None:
            post_to_webhook(webhook_url, result.directory, result.summary, say)


def _result_document(result: "SuiteResult") -> dict[str, Any]:
    """The summary and where everything is."""
    directory = result.directory
    paths = {
        "results_dir": directory.path,
        "report_html": directory.report_html,
        "summary_json": directory.summary_json,
        "junit_xml": directory.junit_xml,
    }
    return {**result.summary, "paths": {name: str(path.absolute()) for name, path in paths.items()}}


def _print_result(result: "SuiteResult") -> None:
    print_all(sys.stdout, results_text(result.summary))
    sys.stdout.write(f"{result.directory.report_html.absolute()}\n")


def _masked(renderables: Sequence[Any]) -> list[Any]:
    """Sentences that may name ARNs, without account ids; tables name none."""
    return [mask_accounts(item) if isinstance(item, str) else item for item in renderables]


#: The commands of this module: their parsers, and what they do.
_OWN = {
    "run": Command(partial(_run_parser, "run"), _run),
    "plan": Command(partial(_run_parser, "plan"), _plan),
    "doctor": Command(partial(_run_parser, "doctor"), _doctor),
    "report": Command(_report_parser, _report),
}
