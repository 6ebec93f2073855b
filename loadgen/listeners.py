"""Hooks this framework into Locust. Importing it registers the listeners, once per process."""

from locust import events
from locust import runners as locust_runners
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

import os
import sys
from typing import Any

from loadgen import interrupts, messages
from loadgen.director import Director
from loadgen.early_traces import read_early
from loadgen.hub_stalls import keep_default_options
from loadgen.options import add_options
from loadgen.participant import Participant
from loadgen.web_form import install as install_form_check
from loadgen.worker import Worker

#: Attribute of Locust's environment under which users find this process's part of the test.
PARTICIPANT_ATTRIBUTE = "bedrock_participant"

#: How long a worker goes on without a word of its master.
MASTER_TIMEOUT_S = 15


keep_default_options()


@events.init_command_line_parser.add_listener
def _on_parser(parser: Any, **_kwargs: Any) -> None:
    add_options(parser)
    read_early(sys.argv[1:], os.environ)


@events.init.add_listener
def _on_init(environment: Any, runner: Any, **_kwargs: Any) -> None:
    """Give this process its part: leading (local, master), running users (local, worker), or both."""
    if environment.parsed_options is None:  # Locust used as a library: nothing to read options from
        return
    if runner is not None:  # under a debugger (run_single_user) Ctrl-C stays the debugger's
        environment.bedrock_interrupts = interrupts.take_over()
    participant = None if isinstance(runner, MasterRunner) else Participant(environment)
    setattr(environment, PARTICIPANT_ATTRIBUTE, participant)
    if isinstance(runner, WorkerRunner) and participant is not None:
        # A lost master must not be worked for a minute longer, unseen.
        locust_runners.MASTER_HEARTBEAT_TIMEOUT = MASTER_TIMEOUT_S
        Worker(environment, participant).listen()
    else:
        _attach_director(environment, Director(environment, participant), runner)


def _attach_director(environment: Any, director: Director, runner: Any) -> None:
    if isinstance(runner, LocalRunner | MasterRunner):
        director.check_command_line()
        if environment.parsed_options.headless and environment.shape_class is not None:
            environment.bedrock_termination = interrupts.end_shape_on_sigterm(runner)
    hooks = environment.events
    hooks.test_start.add_listener(lambda **_kwargs: director.on_test_start())
    hooks.spawning_complete.add_listener(lambda **_kwargs: director.on_spawning_complete())
    hooks.test_stopping.add_listener(lambda **_kwargs: director.on_test_stopping())
    hooks.test_stop.add_listener(lambda **_kwargs: director.on_test_stop())
    if isinstance(runner, MasterRunner):
        # Users of a lost worker go on elsewhere: their number is what was asked for.
        environment.parsed_options.enable_rebalancing = True
        # Locust would forget it after a minute, and then start all users anew, from none.
        locust_runners.HEARTBEAT_DEAD_INTERNAL = -sys.maxsize
        for kind in (messages.READY, messages.CLOCK_ANSWER, messages.WAITING, messages.LINES, messages.DRAINED):
            runner.register_message(kind, director.on_message)
    if environment.web_ui:
        install_form_check(environment)
