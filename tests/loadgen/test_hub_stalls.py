"""What else happens in a generator's process must not hold up its loop. Counted, not timed."""

import subprocess
import sys

from tests.support.locust_process import ROOT

COUNT_PARSERS = """
import loadgen.listeners
from locust import argument_parser
built = []
get_empty = argument_parser.get_empty_argument_parser
argument_parser.get_empty_argument_parser = lambda *given, **named: built.append(1) or get_empty(*given, **named)
first, second = argument_parser.default_args_dict(), argument_parser.default_args_dict()
print(len(built), first == second, first["spawn_rate"])
"""


def test_the_defaults_of_locusts_options_are_worked_out_once() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", COUNT_PARSERS], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )

    assert ended.stdout.split() == ["1", "True", "None"]


COLLECTED_WHEN_READY = """
import gc
import loadgen.listeners
from loadgen.crew import LocalCrew
from loadgen.participant import Participant
crew = LocalCrew(Participant(None))
before = gc.get_freeze_count()
print(before, crew.get_ready(), gc.get_freeze_count() > 10_000)
"""


def test_garbage_is_collected_before_the_start_of_the_schedule_is_agreed() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", COLLECTED_WHEN_READY], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )

    assert ended.stdout.split() == ["0", "[]", "True"]
