"""Fixtures for all rooms: no AWS settings of this machine get in, and emulators to talk to."""

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from emulator.process import EmulatorProcess

pytest_plugins = ["emulator.pytest_plugin", "pytester"]

# Nothing is timed in tests: a busy machine is no fault of what is tested. `thorough` is for who looks for more.
settings.register_profile("suite", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("suite"), max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

StartEmulator = Callable[..., EmulatorProcess]


#: Folders whose tests mostly wait for processes of their own, the longest first.
_WAITING = ("e2e", "loadgen", "benchmarks", "reports", "orchestrator")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what waits begin first: at the end of a run in several processes it would wait alone."""
    items.sort(key=lambda item: _WAITING.index(item.path.parent.name) if item.path.parent.name in _WAITING else 99)


@pytest.fixture(scope="session", autouse=True)
def clean_aws_environment() -> Iterator[None]:
    """Dummy credentials and region; nothing of the user's AWS configuration or CI, and no proxy for loopback."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "GITHUB_", "WEBHOOK_URL"))]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", "emulator")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "emulator")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        yield


@pytest.fixture
def start_emulator(bedrock_emulator_factory: StartEmulator) -> StartEmulator:
    """Starts emulators on free ports: `start_emulator(config={...}, seed=1, truth_log=path)`; stops them afterwards."""
    return bedrock_emulator_factory
