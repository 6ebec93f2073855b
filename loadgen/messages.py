"""Messages between the master and its workers, by their names.

Each carries all that is needed to understand it: messages may overtake Locust's own options (locust.md 1.5).
"""

#: Worker: it has taken over the test's options, or why it cannot.
READY = "load_ready"
#: Master: what time is it there? Worker: this.
CLOCK = "load_clock"
CLOCK_ANSWER = "load_clock_answer"
#: Master: when the schedule starts, which phases it has, and what is dealt to the worker.
BEGIN = "load_begin"
#: Master: another share from an instant on.
DEAL = "load_deal"
#: Worker: so many arrivals wait for a slot.
WAITING = "load_waiting"
#: Worker: lines for its files. Master: which of them are written.
LINES = "load_lines"
WRITTEN = "load_written"
#: Master: the test ends. Worker: all calls have ended.
DRAIN = "load_drain"
DRAINED = "load_drained"
