"""Load processes as their parent sees them: started, begun together, and read."""

import multiprocessing
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Self

from benchmarks.emulator_load import LoadPlan, LoadResult, run_load

_START_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 5.0

_processes = multiprocessing.get_context("spawn")


class BenchmarkError(RuntimeError):
    """The benchmark cannot go on; the message is one sentence."""


class LoadProcesses:
    """One load process per plan, each on a core of its own while there are enough; ended at the end of the `with`."""

    def __init__(self, plans: Sequence[LoadPlan], cores: Sequence[int]) -> None:
        self._pipes: list[Connection] = []
        self._children: list[Any] = []
        self._counters: list[Any] = []
        for number, plan in enumerate(plans):
            ours, theirs = _processes.Pipe()
            counter = _processes.Value("Q", lock=False)  # one writer
            child = _processes.Process(
                target=run_load, args=(plan, cores[number % len(cores)], counter, theirs), daemon=True
            )
            self._pipes.append(ours)
            self._counters.append(counter)
            self._children.append((child, theirs))

    @property
    def pids(self) -> list[int]:
        """Process ids."""
        return [child.pid for child, _ in self._children]

    @property
    def answered(self) -> int:
        """Answers so far, whatever their status."""
        return sum(counter.value for counter in self._counters)

    def begin(self, at: float) -> None:
        """Let all begin at one moment of `time.perf_counter()`."""
        for pipe in self._pipes:
            pipe.send(at)

    def result(self, tick: Callable[[], None] = lambda: None, tick_s: float = 1.0) -> LoadResult:
        """What all of them saw; `tick` is called every `tick_s` until they are done."""
        total = LoadResult()
        waiting = list(self._pipes)
        while waiting:
            for pipe in wait(waiting, tick_s):
                assert isinstance(pipe, Connection)  # noqa: S101 - nothing else was waited for
                total.add(_received(pipe))
                waiting.remove(pipe)
            tick()
        return total

    def __enter__(self) -> Self:
        try:
            for child, theirs in self._children:
                child.start()
                theirs.close()
            for pipe in self._pipes:
                _await_ready(pipe)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        for child, _ in self._children:
            with suppress(ValueError, AttributeError):  # it was never started
                child.terminate()
                child.join(_END_TIMEOUT_S)
        for pipe in self._pipes:
            pipe.close()


def _await_ready(pipe: Connection) -> None:
    if not pipe.poll(_START_TIMEOUT_S):
        raise BenchmarkError(f"a load process was not ready after {_START_TIMEOUT_S:g} s")
    _received(pipe)


def _received(pipe: Connection) -> Any:
    try:
        message = pipe.recv()
    except EOFError as error:
        raise BenchmarkError("a load process ended before its time") from error
    if isinstance(message, OSError):
        raise BenchmarkError(f"a load process could not connect: {message.strerror or message}")
    return message
