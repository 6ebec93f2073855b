"""The command: what was asked for, done, and turned into an exit code."""

import argparse
import json
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from bedrock.clock import now
from bedrock.outcome import mask_accounts
from orchestrator import assignments
from orchestrator.consent import require_consent
from orchestrator.doctor_findings import EPILOG as DOCTOR_EPILOG
from orchestrator.exit_codes import ExitCode, worst
from orchestrator.flags import FLAGS_LATER, RUN_ONLY, SCENARIO_FLAGS, VERBS_LATER, Flag, read_format
from orchestrator.identity import new_run_id
from orchestrator.known_quotas import with_known_quotas
from orchestrator.listing import inventory, inventory_tables
from orchestrator.preflight import Preparation, check_cost_is_known, check_surroundings, prepare
from orchestrator.progress import event_line, make_progress
from orchestrator.results_directory import check_usable
from orchestrator.run_document import RunStart
from orchestrator.settings import resolve
from orchestrator.supervision import Signals
from orchestrator.tables import plan_document, plan_text, print_all, results_text, settings_table
from orchestrator.validation import validate, validation_document, validation_text
from scenarios.loading import Problem, ScenarioError
from scenarios.model import did_you_mean
from scenarios.run_directory import RunDirectory, RunDirectoryError
from scenarios.schema import schema_text

if TYPE_CHECKING:
    from orchestrator.suite import SuiteResult

VERBS = ("run", "plan", "doctor", "report", "validate", "list", "schema")
SCENARIOS = Path(__file__).parent.parent / "scenarios"
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
    "plan": "Print what a suite would send and cost; send nothing",
    "doctor": "Check credentials, endpoint, models, tiers and quotas with a tiny request for each; see docs/doctor.md",
}
_OTHER_COMMANDS = "Other commands: plan (send nothing), validate FILE, doctor (check first), report DIR, list, schema."


class UsageError(ValueError):
    """The command line makes no sense; the text says why."""


class _Parser(argparse.ArgumentParser):
    """argparse ends with code 2, which means interrupted here."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}.{self._suggestion(message)}")

    def _suggestion(self, message: str) -> str:
        kind, _, unknown = message.partition("unrecognized arguments: ")
        if kind or not unknown.startswith("--"):
            return ""
        word = re.split(r"[ =]", unknown, maxsplit=1)[0]
        if word in FLAGS_LATER:
            return f" {word} is not built yet."
        harmless = [flag.text for flag in (*SCENARIO_FLAGS, *RUN_ONLY) if not flag.is_dangerous]
        return did_you_mean(word, (*harmless, assignments.FLAG))


def main(arguments: Sequence[str]) -> int:
    """Run the command; its exit code. One clear sentence on stderr for each thing the user can put right."""
    _have_streams()
    try:
        return _dispatch(list(arguments))
    except (UsageError, ScenarioError, RunDirectoryError) as error:
        for sentence in _sentences(error):
            sys.stderr.write(f"error: {mask_accounts(sentence)}\n")
        return ExitCode.USAGE_ERROR
    except KeyboardInterrupt:
        sys.stderr.write("interrupted before anything was sent\n")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of our stdout has gone: nothing more to tell it
        _to_nowhere(sys.stdout)
        return ExitCode.INTERNAL_ERROR
    except Exception as error:  # noqa: BLE001 - the last resort: an exit code and a log instead of a bare traceback
        return _confess(error)


def _have_streams() -> None:
    """Give a process that was started with closed streams somewhere to write to."""
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def _to_nowhere(stream: TextIO) -> None:
    """Let what is still to be written to a stream vanish: the other end of its pipe is closed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _reader_may_leave(stream: TextIO) -> Iterator[None]:
    """A run goes on, and its exit code stays its own, when nobody reads what it says (`| head -1`)."""
    try:
        yield
        stream.flush()
    except BrokenPipeError:
        _to_nowhere(stream)


def _sentences(error: UsageError | ScenarioError | RunDirectoryError) -> list[str]:
    if isinstance(error, ScenarioError):
        return [str(problem) for problem in error.problems]
    return [f"{error} (see python run_tests.py --help)" if isinstance(error, UsageError) else str(error)]


def _confess(error: Exception) -> int:
    """Report a bug: one sentence for the user, the traceback in a file."""
    with tempfile.NamedTemporaryFile("w", prefix="run_tests-", suffix=".log", delete=False, encoding="utf-8") as log:
        log.write("".join(traceback.format_exception(error)))
    sys.stderr.write(f"internal error: {type(error).__name__}: {error}\nThe traceback is in {log.name}\n")
    return ExitCode.INTERNAL_ERROR


def _dispatch(arguments: list[str]) -> int:
    verb = arguments[0] if arguments and arguments[0] in VERBS else None
    if verb is None and arguments and not arguments[0].startswith("-"):
        _check_is_scenario(arguments[0])
    actions: dict[str, Callable[[argparse.Namespace, list[str]], int]] = {
        "run": _run,
        "plan": _plan,
        "doctor": _doctor,
        "report": _report,
        "validate": _validate,
        "list": _list,
        "schema": _schema,
    }
    rest = arguments[1:] if verb else arguments
    chosen = verb or "run"
    parser = _PARSERS[chosen]() if chosen in _PARSERS else _run_parser(chosen)
    namespace = parser.parse_intermixed_args(rest)
    return actions[chosen](namespace, arguments)


def _check_is_scenario(word: str) -> None:
    """A first word that is neither verb nor file is most likely a mistyped verb."""
    if _find_scenario(word).exists():
        return
    if word in VERBS_LATER:
        raise UsageError(f"the command {word} is not built yet")
    raise UsageError(f"{word!r} is neither a command nor a scenario file.{did_you_mean(word, _known_words())}")


def _known_words() -> list[str]:
    return [*VERBS, *sorted(path.stem for path in SCENARIOS.glob("*.yaml"))]


def _find_scenario(word: str) -> Path:
    """A scenario file by its path, or one of the shipped ones by its name."""
    shipped = SCENARIOS / f"{word}.yaml"
    return _from_here(shipped) if not Path(word).exists() and shipped.exists() else Path(word)


def _from_here(path: Path) -> Path:
    """The path as a person in the current directory would write it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _run_parser(verb: str) -> argparse.ArgumentParser:
    parser = _Parser(
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
            _add_flag(group, flag)
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


def _add_flag(group: Any, flag: Flag) -> None:
    names = [flag.text, flag.short] if flag.short else [flag.text]
    kind: dict[str, Any] = {"action": "store_true"} if flag.is_switch else {"metavar": flag.metavar}
    group.add_argument(*names, dest=flag.name, default=None, help=flag.help, **kind)


def _report_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="run_tests.py report",
        description="Analyse a results directory again and render its report; no network.",
        epilog="The exit code is that of the verdict.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="a results directory")
    _add_format(parser)
    return parser


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", metavar="FORMAT", dest="output_format", help="text or json on stdout")


def _validate_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="run_tests.py validate",
        description="Check scenario files and what they name: every problem with its line, column and a suggestion.",
        epilog="Sends nothing. Exit code 0 where all are valid, else 4. Flags and variables of a run have no say.",
    )
    parser.add_argument("scenarios", nargs="+", metavar="FILE", help="a scenario file, or the name of a shipped one")
    _add_format(parser)
    return parser


def _list_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="run_tests.py list",
        description="List scenarios, mixes, routings, patterns, models with their tiers and prices, prompt sizes.",
    )
    _add_format(parser)
    return parser


def _schema_parser() -> argparse.ArgumentParser:
    return _Parser(prog="run_tests.py schema", description="Print the JSON Schema of scenario files.")


#: Commands that run no suite, and so do not have its flags.
_PARSERS: dict[str, Callable[[], argparse.ArgumentParser]] = {
    "report": _report_parser,
    "validate": _validate_parser,
    "list": _list_parser,
    "schema": _schema_parser,
}


def _prepare_all(namespace: argparse.Namespace) -> list[Preparation]:
    """Every scenario validated and planned, before any is started; ScenarioError with the problems of all."""
    files = [_find_scenario(word) for word in namespace.scenarios] or [_from_here(DEFAULT_SCENARIO)]
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
        _print_json(documents[0] if len(documents) == 1 else {"schema_version": 1, "plans": documents})
        return ExitCode.OK
    for preparation in prepared:
        print_all(sys.stdout, [*_masked(plan_text(preparation)), settings_table(preparation.settings)])
    return ExitCode.OK


def _doctor(namespace: argparse.Namespace, _arguments: list[str]) -> int:
    # botocore takes 0.2 s to import: only this command needs it here.
    from orchestrator.doctor_command import check_up  # noqa: PLC0415

    if len(namespace.scenarios) > 1:
        raise UsageError("doctor takes one scenario at a time")
    file = _find_scenario(namespace.scenarios[0]) if namespace.scenarios else _from_here(DEFAULT_SCENARIO)
    exit_code, show = check_up(file, vars(namespace), os.environ, has_plan=bool(namespace.scenarios))
    with _reader_may_leave(sys.stdout):
        show(sys.stdout)
    return exit_code


def _run(namespace: argparse.Namespace, arguments: list[str]) -> int:
    prepared = _prepare_all(namespace)
    if prepared[0].settings.options.dry_run:
        return _plan(namespace, arguments)
    for preparation in prepared:
        check_surroundings(preparation.settings)
        check_cost_is_known(preparation)
        if preparation.settings.options.results_dir is not None:
            check_usable(preparation.settings.options.results_dir, force=preparation.settings.options.force)
    _refuse_shared_directories(prepared)
    as_json = prepared[0].settings.options.output_format == "json"
    for preparation in prepared:
        with _reader_may_leave(sys.stderr):
            _announce(preparation, as_json=as_json)
        require_consent(preparation, sys.stdin, sys.stderr)
    results: list[SuiteResult] = []
    with Signals() as signals:
        for preparation in prepared:
            results.append(_run_one(preparation, arguments, signals))
            if not as_json:
                with _reader_may_leave(sys.stdout):
                    _print_result(results[-1])
            if signals.asked_to_stop:
                break
    if as_json:
        documents = [_result_document(result) for result in results]
        with _reader_may_leave(sys.stdout):
            _print_json(documents[0] if len(prepared) == 1 else {"schema_version": 1, "runs": documents})
    left_over = [ExitCode.INTERRUPTED] if len(results) < len(prepared) else []
    return worst([*(result.exit_code for result in results), *left_over])


def _announce(preparation: Preparation, *, as_json: bool) -> None:
    """The plan on stderr, before anything is sent."""
    if as_json:
        sys.stderr.write(event_line("plan", plan_document(preparation)) + "\n")
    else:
        print_all(sys.stderr, _masked(plan_text(preparation)))


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
    start = RunStart(new_run_id(preparation.settings.scenario.name, at), tuple(arguments), at)
    progress = make_progress(as_events=preparation.settings.options.output_format == "json")
    try:
        return run_suite(preparation, start, progress, signals)
    finally:
        progress.close()


def _report(namespace: argparse.Namespace, _arguments: list[str]) -> int:
    from orchestrator.suite import finish  # noqa: PLC0415

    output_format = _output_format(namespace)
    directory = RunDirectory(namespace.directory)
    directory.read_run()
    result = finish(directory)
    if output_format == "json":
        _print_json(_result_document(result))
    else:
        _print_result(result)
    return result.exit_code


def _output_format(namespace: argparse.Namespace) -> str:
    source, given = "--format", namespace.output_format
    if given is None:
        source, given = "environment FORMAT", os.environ.get("FORMAT") or "text"
    try:
        return read_format(given)
    except ValueError as error:
        raise ScenarioError(Problem(source, str(error))) from error


def _validate(namespace: argparse.Namespace, _arguments: list[str]) -> int:
    output_format = _output_format(namespace)
    validations = [validate(_find_scenario(word)) for word in namespace.scenarios]
    with _reader_may_leave(sys.stdout):
        if output_format == "json":
            _print_json(validation_document(validations))
        else:
            sys.stdout.write(mask_accounts(validation_text(validations)))
    return ExitCode.OK if all(validation.is_valid for validation in validations) else ExitCode.USAGE_ERROR


def _list(namespace: argparse.Namespace, _arguments: list[str]) -> int:
    output_format, content = _output_format(namespace), inventory(_from_here(SCENARIOS))
    with _reader_may_leave(sys.stdout):
        if output_format == "json":
            _print_json(content)
        else:
            print_all(sys.stdout, inventory_tables(content))
    return ExitCode.OK


def _schema(_namespace: argparse.Namespace, _arguments: list[str]) -> int:
    with _reader_may_leave(sys.stdout):
        sys.stdout.write(schema_text())
    return ExitCode.OK


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


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(mask_accounts(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)) + "\n")


def _masked(renderables: Sequence[Any]) -> list[Any]:
    """Sentences that may name ARNs, without account ids; tables name none."""
    return [mask_accounts(item) if isinstance(item, str) else item for item in renderables]
