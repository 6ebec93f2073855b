#!/usr/bin/env python3
"""Load tests for Amazon Bedrock: run a suite, plan one, or render the report of one again.

python run_tests.py scenarios/smoke.yaml      # against a local emulator: costs nothing
python run_tests.py --help
"""

import sys

from orchestrator.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
