"""Ctrl-C ends a test in an orderly way, whatever the process is doing when it comes."""

import gevent
from gevent.hub import Hub

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
