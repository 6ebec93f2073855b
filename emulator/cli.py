"""The command `python -m emulator`: options, banner, ready line, clean stop.

stdout carries one line, `listening on http://H:P`; everything else goes to stderr. Exit code 0 after a clean stop,
4 when the options, the configuration or the address cannot be used.
"""

import argparse
import asyncio
import contextlib
import errno
import gc
import ipaddress
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import uvloop

from emulator.config import ConfigError, EmulatorConfig, read_config
from emulator.server import Emulator
from emulator.text import ResponseFileError, ResponseLibrary, read_responses
from emulator.truth import TruthLog, open_truth_file

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8700
DEFAULT_SEED = 0
EXIT_CONFIGURATION = 4

_BANNER = """\
Amazon Bedrock runtime emulator. Nothing here reaches AWS or costs money; timing figures are assumptions.
Point an SDK or the AWS CLI at it:

  export AWS_ENDPOINT_URL_BEDROCK_RUNTIME={url}
  export AWS_ACCESS_KEY_ID=emulator AWS_SECRET_ACCESS_KEY=emulator AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
  unset AWS_BEARER_TOKEN_BEDROCK   # SDKs send bearer tokens over HTTPS only, and this is HTTP

Status: {url}/_emulator/health  counts: {url}/_emulator/stats  truth log: {url}/_emulator/truth
Stop with Ctrl-C.
"""


class UsageError(ValueError):
    """The emulator cannot start as asked; the message is one sentence for the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until stopped; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except ConfigError as error:
        print(f"emulator: the configuration cannot be used:\n{_bullets(error.problems)}", file=sys.stderr)
    except (UsageError, ResponseFileError) as error:
        print(f"emulator: {error}", file=sys.stderr)
    return EXIT_CONFIGURATION


def _run(options: argparse.Namespace) -> int:
    _check_host(options.host, allow_remote=options.allow_remote)
    config = EmulatorConfig() if options.config is None else read_config(options.config)
    seed = next(value for value in (options.seed, config.seed, DEFAULT_SEED) if value is not None)
    library = read_responses()
    _raise_open_file_limit()
    with contextlib.ExitStack() as stack:
        file = None if options.truth_log is None else stack.enter_context(_truth_file(options.truth_log))
        uvloop.run(_serve(options, config, library, TruthLog(file), seed))
    return 0


async def _serve(
    options: argparse.Namespace, config: EmulatorConfig, library: ResponseLibrary, truth: TruthLog, seed: int
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if options.stop_with_stdin:
        loop.add_reader(sys.stdin.fileno(), _stop_at_end_of_input, loop, stopped)
    emulator = Emulator(config, library, truth, seed)
    try:
        host, port = await emulator.start(options.host, options.port)
    except OSError as error:
        raise UsageError(_address_problem(options.host, options.port, error)) from error
    # What exists now stays; the collector need not look at it again.
    gc.freeze()
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    print(_BANNER.format(url=url), file=sys.stderr, flush=True)
    print(f"listening on {url}", flush=True)
    await stopped.wait()
    emulator.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emulator", description="A local Amazon Bedrock runtime endpoint.")
    parser.exit_on_error = True
    parser.error = _usage_error  # type: ignore[method-assign,assignment]
    parser.add_argument("--host", default=DEFAULT_HOST, help=f"address to listen on (default {DEFAULT_HOST})")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help=f"0 picks a free one (default {DEFAULT_PORT})")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML configuration, see docs/emulator.md")
    parser.add_argument(
        "--seed", type=int, help=f"of all random numbers (default: the configuration's, {DEFAULT_SEED})"
    )
    parser.add_argument("--truth-log", type=Path, metavar="FILE", help="append one JSON line per request to this file")
    parser.add_argument("--allow-remote", action="store_true", help="permit a host that other machines can reach")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    return parser


def _usage_error(message: str) -> None:
    print(f"emulator: {message} (see python -m emulator --help)", file=sys.stderr)
    sys.exit(EXIT_CONFIGURATION)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: write a number from 0 to 65535")
    return int(text)


def _check_host(host: str, *, allow_remote: bool) -> None:
    if _is_loopback(host):
        return
    if not allow_remote:
        raise UsageError(
            f"{host} is not a loopback address; everyone who can reach it could use this emulator. "
            "Add --allow-remote if that is intended."
        )
    print(f"WARNING: listening on {host} without any authentication; other machines may connect.", file=sys.stderr)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _address_problem(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; choose another with --port, or --port 0 for a free one."
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges; choose one above 1023 with --port."
    return f"cannot listen on {host}:{port}: {error.strerror or error}."


def _truth_file(path: Path) -> TextIO:
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
