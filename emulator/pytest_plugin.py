"""A Bedrock emulator for the tests of any project, as pytest fixtures.

Where this project is installed with pip, pytest finds them by itself. In a checkout, name the module in the top
`conftest.py`: `pytest_plugins = ["emulator.pytest_plugin"]`.

* `bedrock_emulator`: an emulator that runs for the whole session;
* `bedrock_emulator_config`: its configuration, quick by default; override it to change that;
* `bedrock_emulator_factory`: starts further ones, each with its own configuration, for one test;
* `bedrock_environment`: points the SDKs that a test uses at `bedrock_emulator`, without any credentials of yours.

No SDK is imported here: use whichever you like. Under pytest-xdist each worker has an emulator of its own.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from emulator.process import EmulatorProcess

BedrockEmulatorFactory = Callable[..., EmulatorProcess]

#: Answers of 40 tokens within a few hundredths of a second: tests need not wait for a model's pace.
QUICK_ANSWERS: Mapping[str, Any] = {
    "default": {
        "latency": {
            "ttft_ms": {"distribution": "fixed", "median": 5},
            "prefill_ms_per_token": 0.0,
            "tokens_per_second": {"distribution": "fixed", "median": 2000},
        },
        "output_tokens": {"distribution": "fixed", "median": 40},
    }
}

_SEED = 1
_REGION = "us-east-1"
#: What would send calls elsewhere, sign them as somebody else, or have the endpoint's variable passed over.
_REMOVED = (
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_DEFAULT_PROFILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
)


@pytest.fixture(scope="session")
def bedrock_emulator_config() -> Mapping[str, Any]:
    """The session's configuration (docs/emulator-configuration.md). Override it, with the same scope."""
    return QUICK_ANSWERS


@pytest.fixture(scope="session")
def bedrock_emulator(bedrock_emulator_config: Mapping[str, Any]) -> Iterator[EmulatorProcess]:
    """An emulator on a free loopback port until the end of the session: `url`, `truth()`, `stats()`, `reset()`."""
    with EmulatorProcess(bedrock_emulator_config, seed=_SEED) as emulator:
        yield emulator


@pytest.fixture
def bedrock_emulator_factory() -> Iterator[BedrockEmulatorFactory]:
    """Starts emulators: `bedrock_emulator_factory(config, seed=1, truth_log=None, log=None)`; they end with the test.

    It takes what `EmulatorProcess` takes. Without `config` an emulator answers at the pace of real models.
    """
    with ExitStack() as running:

        def start(
            config: Mapping[str, Any] | None = None,
            seed: int | None = _SEED,
            truth_log: Path | None = None,
            log: Path | None = None,
            **options: Any,
        ) -> EmulatorProcess:
            return running.enter_context(EmulatorProcess(config, seed, truth_log, log, **options))

        yield start


@pytest.fixture
def bedrock_environment(bedrock_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> EmulatorProcess:
    """The session's emulator, with the environment of this test changed so that SDKs call it; undone afterwards.

    Endpoint, credentials of no worth and, where there is none, a region. Configuration files of the AWS SDKs are not
    read. Make clients within the test: those made before it keep their endpoint.
    """
    for name in _REMOVED:
        monkeypatch.delenv(name, raising=False)
    for name, value in client_environment(bedrock_emulator.url, os.environ).items():
        monkeypatch.setenv(name, value)
    return bedrock_emulator


def client_environment(url: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables with which AWS SDKs call `url` for Bedrock, beside those of `environment`."""
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or _REGION
    unproxied = (environment.get("no_proxy") or environment.get("NO_PROXY", "")).split(",")
    no_proxy = ",".join(dict.fromkeys([*filter(None, unproxied), "127.0.0.1", "localhost"]))
    return {
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": url,
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": environment.get("AWS_DEFAULT_REGION") or region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }
