"""One emulator with quick answers for all tests of a file, and an unmodified SDK that talks to it."""

from collections.abc import Iterator
from typing import Any

import pytest

from emulator.process import EmulatorProcess
from tests.support.sdk import FAST, client


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorProcess]:
    """Quick answers of 50 tokens (`tests.support.sdk.FAST`)."""
    with EmulatorProcess(FAST, seed=1) as process:
        yield process


@pytest.fixture(scope="module")
def emulator(running: EmulatorProcess) -> EmulatorProcess:
    """The same; files whose tests change it override this with one that puts it in order first."""
    return running


@pytest.fixture(scope="module")
def bedrock(running: EmulatorProcess) -> Any:
    """boto3's client of it."""
    return client(running)
