"""Keeps what the models said, one answer to each prompt, in a file that the emulator can answer from.

Its lines are fixtures (docs/emulator-responses.md). Prompts and answers may be confidential: nobody but the user may
read it.
"""

import json
from hashlib import blake2b
from typing import Any

from bedrock.catalog import default_catalog, split_model_id
from bedrock.invocation import Invocation, InvocationRecord
from bedrock.outcome import Outcome
from bedrock.transcript import Transcript
from loadgen.line_files import LineSink

#: Version of the lines; the emulator refuses those of a version that it does not know.
RESPONSE_SCHEMA_VERSION = 1

#: The service's stop reasons, in the words of all APIs and families, that a fixture can repeat. The others (a stop
#: sequence, a guardrail, a tool) come of more than model and prompt; such answers are not kept.
_STOP_REASONS = {
    "end_turn": "end_turn", "stop": "end_turn", "FINISH": "end_turn",
    "max_tokens": "max_tokens", "length": "max_tokens", "LENGTH": "max_tokens",
}  # fmt: skip


class ResponseRecorder:
    """The file of one process: the first complete answer to each prompt of a model, a line each."""

    def __init__(self, sink: LineSink) -> None:
        self._kept: set[bytes] = set()
        self._sink = sink

    def transcript_for(self, invocation: Invocation) -> Transcript | None:
        """What a call is to collect its answer in; None where there is one already.

        Nor is an answer kept that comes of a conversation: fixtures know prompts only.
        """
        return None if invocation.history or _identity(invocation) in self._kept else Transcript()

    def keep(self, invocation: Invocation, record: InvocationRecord, transcript: Transcript) -> None:
        """Write the answer of a call, if it is whole and the first to its prompt."""
        stop_reason = _STOP_REASONS.get(record.stop_reason or "")
        identity = _identity(invocation)
        if record.outcome is not Outcome.OK or stop_reason is None or identity in self._kept:
            return
        if not transcript.text.strip():
            return
        line = json.dumps(_fixture(invocation, record, transcript, stop_reason), ensure_ascii=False)
        # Half a surrogate pair cannot be written in UTF-8; with its escape it is the same JSON.
        self._sink.write(line.encode("utf-8", "backslashreplace") + b"\n")
        self._kept.add(identity)

    def close(self) -> None:
        """Close the file; harmless when done twice."""
        self._sink.close()


def _identity(invocation: Invocation) -> bytes:
    """A digest of what makes a prompt distinct: keeping the prompts themselves could take gigabytes."""
    parts = json.dumps([_model(invocation), invocation.system, invocation.prompt])
    return blake2b(parts.encode("ascii"), digest_size=16).digest()


def _model(invocation: Invocation) -> str:
    """The base id, so that the answer is found under every inference profile; an unknown id as it was sent."""
    base = split_model_id(invocation.model_id).base
    return base if base in default_catalog().models else invocation.model_id


def _fixture(
    invocation: Invocation, record: InvocationRecord, transcript: Transcript, stop_reason: str
) -> dict[str, Any]:
    fixture: dict[str, Any] = {"schema_version": RESPONSE_SCHEMA_VERSION, "model": _model(invocation)}
    if invocation.system is not None:
        fixture["system"] = invocation.system
    fixture |= {"prompt": invocation.prompt, "text": transcript.text}
    has_reasoning = bool(transcript.reasoning.strip())
    if has_reasoning:
        fixture["reasoning"] = transcript.reasoning
    fixture["stop_reason"] = stop_reason
    # A fixture needs a token for each of its texts; a service that counts fewer has not counted.
    if record.output_tokens is not None and record.output_tokens > has_reasoning:
        fixture["output_tokens"] = record.output_tokens
    return fixture
