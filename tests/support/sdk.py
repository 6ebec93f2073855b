"""An unmodified SDK and an emulator that is quick to answer."""

from typing import Any

import boto3
from botocore.config import Config

from emulator.process import EmulatorProcess

NOVA = "amazon.nova-pro-v1:0"
FAST = {
    "default": {
        "latency": {
            "ttft_ms": {"distribution": "fixed", "median": 20},
            "tokens_per_second": {"distribution": "fixed", "median": 2000},
            "tokens_per_event": 4,
        },
        "output_tokens": {"distribution": "fixed", "median": 50},
        "reasoning": {"tokens": {"distribution": "fixed", "median": 30}},
    }
}


def client(emulator: EmulatorProcess, attempts: int = 1) -> Any:
    config = Config(retries={"total_max_attempts": attempts, "mode": "standard"}, read_timeout=30)
    return boto3.client("bedrock-runtime", endpoint_url=emulator.url, region_name="us-east-1", config=config)


def ask(text: str = "Do you have volume 3?", **extra: Any) -> dict[str, Any]:
    return {"modelId": NOVA, "messages": [{"role": "user", "content": [{"text": text}]}], **extra}
