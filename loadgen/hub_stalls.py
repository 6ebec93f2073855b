"""What Locust and Python do beside the calls that would hold up the event loop, and with it every time stamp."""

from locust import argument_parser

import functools
import gc

#: Objects more than there were, before the garbage collector looks at the new ones.
_COLLECT_AFTER = 100_000


def keep_default_options() -> None:
    """Let Locust work out the defaults of its options once.

    It builds its whole parser anew for each of its options with each message that changes the number of users: 50 to
    76 ms without a turn for anybody else, measured with Locust 2.47 at one user a second.
    """
    argument_parser.default_args_dict = functools.cache(argument_parser.default_args_dict)


def calm_collector() -> None:
    """Leave what exists now to itself, and seldom look at what is new.

    Calls leave no cycles behind (`wire`) or few (`boto3`), while the collector's usual rounds take milliseconds with
    hundreds of streams open.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
