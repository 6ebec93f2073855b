"""The process that asks: one transport, the questions one after the other, a line of JSON for each answer.

`python -m orchestrator.doctor_probe` reads its task from stdin and writes to stdout. It is a process of its own because
the wire transport brings gevent along and the other one boto3, and neither belongs in the orchestrator.
"""

import json
import sys
from dataclasses import asdict
from typing import Any, TextIO

import botocore.exceptions

from bedrock.client import BedrockClient, Transport, make_transport
from bedrock.endpoint import Endpoint, EndpointError
from bedrock.failures import Failure
from bedrock.invocation import InvocationRecord
from orchestrator.doctor_plan import Question

#: Without a connection the next question would only wait as long again.
_NO_CONNECTION = (Failure.CONNECT_TIMEOUT.value, Failure.CONNECTION_FAILED.value)


def main(task: TextIO, output: TextIO) -> None:
    """Answer a task `{transport, region, url, read_timeout_s, questions}` with lines.

    `{"refused": SENTENCE}` where the transport cannot be made, else `{"record": {...}}` for each question that was
    sent, in their order.
    """
    order = json.load(task)
    try:
        transport = make_transport(
            order["transport"],
            Endpoint(order["region"], order["url"]),
            pool_size=1,
            read_timeout_s=order["read_timeout_s"],
        )
    except (EndpointError, botocore.exceptions.BotoCoreError) as error:
        _say(output, {"refused": str(error)})
        return
    for number, raw in enumerate(order["questions"]):
        record = ask(transport, Question(**raw), number, order["region"])
        _say(output, {"record": asdict(record)})
        if record.error_code in _NO_CONNECTION:
            return


def ask(transport: Transport, question: Question, number: int, region: str) -> InvocationRecord:
    """The record of one question."""
    record = InvocationRecord("doctor", "doctor", transport.name, number, f"doctor-{number}")
    record.region, record.requested_tier = region, question.tier
    BedrockClient(transport).invoke(question.invocation(), record)
    record.intended_at = record.started_at
    return record


def _say(output: TextIO, document: dict[str, Any]) -> None:
    # ASCII: neither a locale nor a lone surrogate in an answer can spoil the line.
    output.write(json.dumps(document) + "\n")
    output.flush()


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
