"""What the emulator has to tell its user while it runs."""

import functools
import sys


@functools.cache
def tell_user(hint: str) -> None:
    """Print a hint to stderr, once: a client that tries again and again would fill the screen with it."""
    print(hint, file=sys.stderr, flush=True)
