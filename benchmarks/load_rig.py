"""The set-up of the load benchmark: an emulator that answers at once, and Locust as its users start it."""

import socket
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from bedrock.invocation import InvocationRecord
from benchmarks.emulator_rig import exact_config
from benchmarks.generator_process import GeneratorProcess, environment
from benchmarks.generator_truth import ServerCall, read_records, read_truth
from benchmarks.load_processes import BenchmarkError
from benchmarks.machine import pinned_to
from emulator.process import PROJECT_ROOT, EmulatorProcess

#: Every answer: first token after so long, then the rest within 5 ms.
TTFT_S = 0.01
_CONFIG = exact_config(TTFT_S, tokens_per_second=1000.0, tokens=5)

SINGLE_PROMPT = "single_prompt"
MANGAASSIST = "mangaassist"
_LOCUSTFILES = PROJECT_ROOT / "locustfiles"
_ON_LOOPBACK = ("--master-bind-host", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where; None: wherever the system likes."""

    emulator: Collection[int] | None
    generators: Collection[int] | None


def share_cores(usable: Sequence[int]) -> Cores:
    """The last core for the emulator, all others for the generators; nobody is pinned where there is only one."""
    return Cores({usable[-1]}, set(usable[:-1])) if len(usable) > 1 else Cores(None, None)


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator and the log of what it did; `pid` is its process."""

    url: str
    pid: int
    truth_log: Path

    def truth(self) -> list[ServerCall]:
        """Its log, whole once it has ended."""
        return read_truth(self.truth_log)


@dataclass(frozen=True, slots=True)
class Rig:
    """Where to measure."""

    cores: Cores
    directory: Path
    seed: int

    @contextmanager
    def emulator(self, name: str) -> Iterator[Emulator]:
        """An emulator on its core. BenchmarkError where it did not live to the end."""
        truth_log = self.directory / f"{name}-truth.jsonl"
        process = EmulatorProcess(_CONFIG, seed=self.seed, truth_log=truth_log)
        with _pinned(self.cores.emulator):
            process.start()
        try:
            yield Emulator(process.url, process.pid or 0, truth_log)
            if not process.is_running:
                raise BenchmarkError("the emulator ended during the measurement")
        finally:
            process.stop()

    def locust(self, name: str, url: str, *options: str, file: str = SINGLE_PROMPT) -> GeneratorProcess:
        """Locust without its web UI, at an emulator; to be used in a `with`."""
        command = [*_locust(file), "--headless", "--only-summary", "--exit-code-on-error", "0"]
        command += ["--endpoint-url", url, "--results-dir", str(self._folder(name) / "results")]
        return self._start([*command, "--seed", str(self.seed), *options], name)

    def two_processes(self, name: str, url: str, *options: str) -> AbstractContextManager[GeneratorProcess]:
        """Locust that forks two workers."""
        port = free_port()
        forking = ("--processes", "2", *_ON_LOOPBACK, "--master-bind-port", port, "--master-port", port)
        return self.locust(name, url, *forking, *options)

    @contextmanager
    def master_and_workers(self, name: str, url: str, *options: str) -> Iterator[GeneratorProcess]:
        """A master and two workers started apart from it, as on other machines: their records come by the line."""
        port = free_port()
        leading = ("--master", "--expect-workers", "2", "--ship-records", *_ON_LOOPBACK, "--master-bind-port", port)
        with ExitStack() as stack:
            master = stack.enter_context(self.locust(name, url, *leading, *options))
            for number in range(2):
                command = [*_locust(SINGLE_PROMPT), "--worker", "--master-host", "127.0.0.1", "--master-port", port]
                stack.enter_context(self._start(command, f"{name}-worker-{number}", elsewhere=True))
            yield master

    def _start(self, command: Sequence[str], name: str, *, elsewhere: bool = False) -> GeneratorProcess:
        folder = self._folder(name)
        environ = environment() | {"PYTHONPATH": str(PROJECT_ROOT)}
        with _pinned(self.cores.generators):
            return GeneratorProcess(command, environ, folder, folder if elsewhere else PROJECT_ROOT)

    def _folder(self, name: str) -> Path:
        folder = self.directory / name
        folder.mkdir(exist_ok=True)
        return folder


def records_of(generator: GeneratorProcess) -> list[InvocationRecord]:
    """Wait for the end of a load and read its records."""
    generator.await_end()
    return read_records(generator.records())


def free_port() -> str:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def _locust(file: str) -> list[str]:
    return [sys.executable, "-m", "locust", "-f", str(_LOCUSTFILES / f"{file}.py")]


def _pinned(cores: Collection[int] | None) -> AbstractContextManager[None]:
    return nullcontext() if cores is None else pinned_to(cores)
