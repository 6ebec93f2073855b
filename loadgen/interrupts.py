"""Ctrl-C and SIGTERM end a test in an orderly way, whatever the process is doing when they come."""

import gevent
from gevent.hub import Hub
from locust.runners import Runner

import os
import signal
from collections.abc import Callable
from typing import Any

#: How long an orphaned process may take to end in order before it ends for certain.
ORPHAN_LIMIT_S = 60.0

_STDIN = 0
_READABLE = 1


def take_over() -> Any:
    """Let the loop, not the interpreter, receive SIGINT; the handle keeps it so.

    Python raises KeyboardInterrupt in whatever code is running. Under gevent that may be the greenlet of a call, which
    would then be lost, or a call-back of the loop in the middle of an answer, which would then look damaged. Locust
    waits for the exception in the main greenlet alone, so it is raised there.
    """
    return gevent.signal_handler(signal.SIGINT, _interrupt_main, gevent.get_hub())


def _interrupt_main(hub: Hub) -> None:
    hub.handle_system_error(KeyboardInterrupt, KeyboardInterrupt())


def end_with_stdin(*, leads: bool) -> Any:
    """End with the process that holds the other end of standard input, however that one ends; the handle keeps it so.

    The process that leads the test ends it as Ctrl-C would; those that it leads follow it. Whatever still runs after
    ORPHAN_LIMIT_S, such as a worker whose master was killed too, is ended then. A pipe does this on every system and
    cannot be missed: it stays closed for a process that looks late.
    """
    hub = gevent.get_hub()
    watcher = hub.loop.io(_STDIN, _READABLE)

    def interrupt() -> None:
        if leads:
            _interrupt_main(hub)

    watcher.start(_at_end_of_input, watcher, interrupt)
    return watcher


def _at_end_of_input(watcher: Any, then: Callable[[], None]) -> None:
    if not os.read(_STDIN, 4096):
        watcher.stop()
        gevent.spawn_later(ORPHAN_LIMIT_S, os._exit, EXIT_TERMINATED)
        then()


#: What a shell says of a process that SIGTERM ended.
EXIT_TERMINATED = 128 + signal.SIGTERM


def end_shape_on_sigterm(runner: Runner) -> Any:
    """Let SIGTERM end a headless test with a load shape as Ctrl-C does; the handle keeps it so.

    Locust takes SIGTERM over only when such a test is finished (locust.md fact 13): until then the process would be
    killed, and with it the records of open calls and every report. A test that is ending already goes on doing so:
    call this before others listen to `test_stopping`, for they hold up those behind them.
    """
    hub = gevent.get_hub()
    ends: list[str] = []
    runner.environment.events.test_stopping.add_listener(lambda **_kwargs: ends.append("test_stopping"))

    def on_signal() -> None:
        if ends:
            return
        ends.append("SIGTERM")
        if runner.shape_greenlet is not None:
            _interrupt_main(hub)
        else:  # still waiting for workers: there is nothing to save
            hub.handle_system_error(SystemExit, SystemExit(EXIT_TERMINATED))

    return gevent.signal_handler(signal.SIGTERM, on_signal)
