"""The command `python -m emulator`: options, banner, ready line, clean stop.

stdout carries one line, `listening on http://H:P` (or https); everything else goes to stderr. Exit code 0 after a clean
stop, 4 when the options, the configuration or the address cannot be used.
"""

import argparse
import asyncio
import contextlib
import errno
import gc
import os
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import uvloop

from bedrock.loopback import is_loopback
from emulator.banner import banner, remote_warning
from emulator.config import ConfigError, EmulatorConfig, read_config
from emulator.fixture_files import FixtureError, read_fixtures
from emulator.server import Emulator
from emulator.text import ResponseFileError, ResponseLibrary, read_responses
from emulator.tls import Tls, TlsError, default_directory, generated_tls, given_tls
from emulator.truth import TruthLog, open_truth_file

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8700
DEFAULT_SEED = 0
EXIT_CONFIGURATION = 4

#: Objects more than there were, before the garbage collector looks at the new ones.
_COLLECT_AFTER = 100_000


class UsageError(ValueError):
    """The emulator cannot start as asked; the message is one sentence for the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until stopped; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except ConfigError as error:
        print(f"emulator: the configuration cannot be used:\n{_bullets(error.problems)}", file=sys.stderr)
    except FixtureError as error:
        print(f"emulator: the responses cannot be used:\n{_bullets(error.problems)}", file=sys.stderr)
    except (UsageError, TlsError, ResponseFileError) as error:
        print(f"emulator: {error}", file=sys.stderr)
    return EXIT_CONFIGURATION


def _run(options: argparse.Namespace) -> int:
    _check_host(options.host, allow_remote=options.allow_remote)
    config = EmulatorConfig() if options.config is None else read_config(options.config)
    tls = _tls(options)
    if not is_loopback(options.host):
        print(remote_warning(options.host, config.auth, is_encrypted=tls is not None), file=sys.stderr)
    seed = next(value for value in (options.seed, config.seed, DEFAULT_SEED) if value is not None)
    library = _library([*options.responses, *config.responses], config)
    _raise_open_file_limit()
    with contextlib.ExitStack() as stack:
        file = None if options.truth_log is None else stack.enter_context(_truth_file(options.truth_log))
        uvloop.run(_serve(options, config, library, TruthLog(file), seed, tls=tls))
    return 0


def _library(files: Sequence[Path], config: EmulatorConfig) -> ResponseLibrary:
    """What the models say: the fixtures of files, and sentences of the emulator's own for all other prompts."""
    library = read_responses()
    if not files:
        return library
    fixtures = read_fixtures(files, config.catalog)
    print(f"Responses given in advance: {len(fixtures)}, from {', '.join(map(str, files))}", file=sys.stderr)
    return replace(library, fixtures=fixtures)


async def _serve(
    options: argparse.Namespace,
    config: EmulatorConfig,
    library: ResponseLibrary,
    truth: TruthLog,
    seed: int,
    *,
    tls: Tls | None,
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if options.stop_with_stdin:
        try:
            loop.add_reader(sys.stdin.fileno(), _stop_at_end_of_input, loop, stopped)
        except OSError as error:  # a file has no end that one could wait for
            raise UsageError("--stop-with-stdin needs a pipe or a terminal as its input") from error
    emulator = Emulator(config, library, truth, seed)
    try:
        host, port = await emulator.start(options.host, options.port, tls.context if tls else None)
    except OSError as error:
        raise UsageError(_address_problem(options.host, options.port, error)) from error
    # What exists now stays; the collector need not look at it again. Requests leave no cycles behind, only closed
    # connections do, so it need not look often: at 1,200 streams its usual rounds held everything up by 4 to 58 ms.
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    print(banner(url, config.auth, tls.ca_bundle if tls else None), file=sys.stderr, flush=True)
    print(f"listening on {url}", flush=True)
    await stopped.wait()
    emulator.stop()


def _command() -> str:
    """How the user has called it: by the module, or by the command that pip installs."""
    name = Path(sys.argv[0]).name
    return "python -m emulator" if name == "__main__.py" else name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_command(), description="A local Amazon Bedrock runtime endpoint.")
    parser.error = _usage_error  # type: ignore[method-assign,assignment]
    parser.add_argument("--host", default=DEFAULT_HOST, help=f"address to listen on (default {DEFAULT_HOST})")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help=f"0 picks a free one (default {DEFAULT_PORT})")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML, see docs/emulator-configuration.md")
    parser.add_argument(
        "--seed", type=int, help=f"of all random numbers (default: the configuration's, {DEFAULT_SEED})"
    )
    parser.add_argument(
        "--responses",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="answers to prompts, JSON Lines or a YAML list, see docs/emulator-responses.md; may be given again",
    )
    parser.add_argument("--truth-log", type=Path, metavar="FILE", help="append one JSON line per request to this file")
    parser.add_argument("--tls", action="store_true", help="HTTPS with a generated certificate for local use")
    parser.add_argument(
        "--tls-dir", type=Path, metavar="DIR", help="where that certificate is kept (default: in the user's cache)"
    )
    parser.add_argument(
        "--tls-cert", type=Path, metavar="FILE", help="HTTPS with this certificate (PEM, with its chain)"
    )
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key (PEM, without a passphrase)")
    parser.add_argument("--allow-remote", action="store_true", help="permit a host that other machines can reach")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    return parser


def _usage_error(message: str) -> None:
    print(f"emulator: {message} (see {_command()} --help)", file=sys.stderr)
    sys.exit(EXIT_CONFIGURATION)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: write a number from 0 to 65535")
    return int(text)


def _check_host(host: str, *, allow_remote: bool) -> None:
    if not is_loopback(host) and not allow_remote:
        raise UsageError(
            f"{host} is not a loopback address; everyone who can reach it could use this emulator. "
            "Add --allow-remote if that is intended."
        )


def _tls(options: argparse.Namespace) -> Tls | None:
    """The certificate asked for, None for plain HTTP."""
    certificate, key = options.tls_cert, options.tls_key
    if (certificate is None) != (key is None):
        raise UsageError("--tls-cert and --tls-key go together.")
    if certificate is not None:
        if options.tls_dir is not None:
            raise UsageError("--tls-dir is for generated certificates; it has no use beside --tls-cert.")
        return given_tls(certificate, key)
    if options.tls or options.tls_dir is not None:
        return generated_tls(options.tls_dir or default_directory(), options.host)
    return None


def _address_problem(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; choose another with --port, or --port 0 for a free one."
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges; choose one above 1023 with --port."
    return f"cannot listen on {host}:{port}: {error.strerror or error}."


def _truth_file(path: Path) -> BinaryIO:
    try:
        return open_truth_file(path)
    except OSError as error:
        raise UsageError(f"cannot write the truth log {path}: {error.strerror}.") from error


def _raise_open_file_limit() -> None:
    """One file per connection: lift the soft limit, often 1,024, to what the system permits."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _stop_at_end_of_input(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        loop.remove_reader(sys.stdin.fileno())
        stopped.set()


def _bullets(problems: Sequence[str]) -> str:
    return "\n".join(f"  - {problem}" for problem in problems)
