"""Ctrl-C and SIGTERM end a test in an orderly way, whatever the process is doing when they come."""

import gevent
from gevent.hub import Hub
from locust.runners import Runner

import signal
from typing import Any


def take_over() -> Any:
    """Let the loop, not the interpreter, receive SIGINT; the handle keeps it so.

    Python raises KeyboardInterrupt in whatever code is running. Under gevent that may be the greenlet of a call, which
    would then be lost, or a call-back of the loop in the middle of an answer, which would then look damaged. Locust
    waits for the exception in the main greenlet alone, so it is raised there.
    """
    return gevent.signal_handler(signal.SIGINT, _interrupt_main, gevent.get_hub())


def _interrupt_main(hub: Hub) -> None:
    hub.handle_system_error(KeyboardInterrupt, KeyboardInterrupt())


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
