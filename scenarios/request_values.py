"""What every request of a suite may carry beside its prompt: texts of flags and files in, checked values out.

The limits are those of the service model of `bedrock-runtime` 2023-09-30 (ConverseRequest).
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bedrock.tokens import estimate_tokens

#: Values of Bedrock's performanceConfig.latency.
LATENCIES = ("standard", "optimized")
#: What options of Locust say where nothing is asked for.
NO_LATENCY = "none"

MAX_STOP_SEQUENCES = 2500
MAX_METADATA_ENTRIES = 16
#: The longest body of InvokeModel, of which a system prompt can be a part at most.
MAX_SYSTEM_BYTES = 25_000_000

_METADATA_TEXT = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}", re.ASCII)
_METADATA_CHARACTERS = "256 characters of ASCII letters, digits, spaces and : _ @ $ # = / + , . -"


class RequestValueError(ValueError):
    """A value that no request can carry; the text says why in plain words."""


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    """A system prompt as its file has it; all that is shown of it is where it is from, a digest and its length."""

    file: Path
    text: str = field(repr=False)

    @property
    def tokens(self) -> int:
        """Estimated tokens (`bedrock.tokens`)."""
        return estimate_tokens(self.text)

    @property
    def sha256(self) -> str:
        """Digest of the text in UTF-8, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def summary(self) -> dict[str, Any]:
        """What results and plans say of it."""
        return {"file": str(self.file), "tokens": self.tokens, "sha256": self.sha256}


def request_entry(
    system: SystemPrompt | None,
    *,
    cache_system: bool,
    latency: str | None,
    stop_sequences: Sequence[str],
    metadata: Mapping[str, str],
    nonce: bool,
) -> dict[str, Any]:
    """What requests carry beside their prompts, as `run.json` has it."""
    return {
        "system_prompt": None if system is None else system.summary(),
        "cache_system": cache_system,
        "latency": latency,
        "stop_sequences": list(stop_sequences),
        "metadata": dict(metadata),
        "nonce": nonce,
    }


def read_system_prompt(file: Path | str) -> SystemPrompt:
    """The system prompt of a UTF-8 file, every character of it; RequestValueError where it has none."""
    path = Path(file)
    try:
        # A device or a pipe might never end.
        if path.exists() and not path.is_file():
            raise RequestValueError(f"{path} is not a file")
        if path.stat().st_size > MAX_SYSTEM_BYTES:
            raise RequestValueError(f"{path} is longer than the {MAX_SYSTEM_BYTES:,} bytes that a request may have")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RequestValueError(f"{path} cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise RequestValueError(f"{path} is not UTF-8 text (byte {error.start})") from error
    if not text.strip():
        raise RequestValueError(f"{path} is empty; a system prompt needs some text")
    return SystemPrompt(path, text)


def check_stop_sequences(sequences: Sequence[str]) -> tuple[str, ...]:
    """The same; RequestValueError where Bedrock takes no such list."""
    if len(sequences) > MAX_STOP_SEQUENCES:
        raise RequestValueError(f"{len(sequences)} stop sequences; Bedrock takes {MAX_STOP_SEQUENCES} at most")
    if not all(sequences):
        raise RequestValueError("an empty stop sequence; give each at least one character")
    if len(set(sequences)) != len(sequences):
        raise RequestValueError("a stop sequence is given twice")
    return tuple(sequences)


def check_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """The same; RequestValueError where Bedrock takes no such metadata."""
    if len(metadata) > MAX_METADATA_ENTRIES:
        raise RequestValueError(f"{len(metadata)} entries; Bedrock takes {MAX_METADATA_ENTRIES} at most")
    for key, value in metadata.items():
        if not key or not _METADATA_TEXT.fullmatch(key):
            raise RequestValueError(f"the key {key[:40]!r} must be 1 to {_METADATA_CHARACTERS}")
        if not _METADATA_TEXT.fullmatch(value):
            raise RequestValueError(f"the value of {key!r} must be at most {_METADATA_CHARACTERS}")
    return dict(metadata)


def parse_stop_sequences(text: str) -> list[str]:
    r"""The sequences of a comma list, or of a JSON list where they have commas or spaces: `["\n\n", "a,b"]`."""
    if not text.lstrip().startswith("["):
        return [item.strip() for item in text.split(",")] if text.strip() else []
    sequences = _decode(text, 'a list of texts, like ["\\n\\n", "END"]')
    if not isinstance(sequences, list) or not all(isinstance(item, str) for item in sequences):
        raise RequestValueError('it is not a list of texts, like ["\\n\\n", "END"]')
    return sequences


def parse_metadata(text: str) -> dict[str, str]:
    """The entries of `key=value,key=value`, or of a JSON object where they have commas or equal signs."""
    if text.lstrip().startswith("{"):
        entries = _decode(text, 'an object of texts, like {"team": "search"}')
        if not all(isinstance(value, str) for value in entries.values()):
            raise RequestValueError('it is not an object of texts, like {"team": "search"}')
        return dict(entries)
    found: dict[str, str] = {}
    for item in text.split(",") if text.strip() else ():
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not key:
            raise RequestValueError(f"{item.strip()!r} is not an entry: write key=value,key=value")
        if key in found:
            raise RequestValueError(f"the key {key!r} is given twice")
        found[key] = value
    return found


def _decode(text: str, expected: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestValueError(f"it is not {expected}: {error}") from None
