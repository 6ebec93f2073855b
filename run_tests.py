#!/usr/bin/env python3
"""Load tests for Amazon Bedrock: run a suite, plan one, or render the report of one again.

python run_tests.py scenarios/smoke.yaml      # against a local emulator: costs nothing
python run_tests.py --help
"""

import signal
import sys

if __name__ == "__main__":
    # What has sent nothing yet ends as by Ctrl-C, whichever of them comes; a suite takes them over.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.default_int_handler)
    try:
        from orchestrator.cli import main

        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:  # the import alone takes a second
        sys.stderr.write("interrupted before anything was sent\n")
        sys.exit(2)
