"""A run in which everything that can be text is an attack, and big."""

from pathlib import Path
from typing import Any

from tests.support.run_builder import CellSpec, make_record, write_run

SCRIPT = "<script>alert('pwned')</script>"
HANDLER = '"><img src=x onerror=alert(1)>'
ANSI = "\x1b[31m\x1b]8;;http://evil.example\x07link\x1b]8;;\x07\x9b2J"
SECRETS = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/x AKIAIOSFODNN7EXAMPLE 210987654321"
TEMPLATE = "{{ 7 * 7 }}{% raw %}$\\frac{1}{0}$ ]]> & &amp; | ` @everyone #1 =cmd|' /C calc'!A0"
ENORMOUS = " " + "A" * 1_000_000

ATTACK = f"{SCRIPT}{HANDLER}{ANSI}{TEMPLATE} {SECRETS}"
NAME = HANDLER.replace("/", "")
TEXT_FIELDS = (
    "query_type", "language", "complexity", "prompt_size", "message_id", "error_code", "model_id", "requested_tier",
    "stop_reason", "served_tier",
)  # fmt: skip
CELL_FIELDS = ("reason", "model_id", "service_tier", "prompt_size", "api", "region_prefix")
RUN_FIELDS = ("scenario", "description", "command", "run_id", "git_commit", "endpoint_url", "region", "target")


def write_hostile_run(directory: Path) -> Path:
    """Write the run: attacks in run.json, in every text of the records, and in the configuration."""
    records = [_record(i) for i in range(80)]
    entry = CellSpec(NAME).entry() | dict.fromkeys(CELL_FIELDS, ATTACK) | {"pattern": ATTACK + ENORMOUS}
    skipped = CellSpec("skipped", status="skipped", reason=ATTACK + ENORMOUS).entry()
    write_run(
        directory,
        {NAME: records},
        cells=[entry, skipped],
        objectives=["ttft_ms p95 < 400ms", ATTACK],
        versions={ATTACK: ATTACK},
        **dict.fromkeys(RUN_FIELDS, ATTACK),
    )
    config = f"name: {ATTACK}\n" + f"key: {ENORMOUS}\n" * 3 + "line: 1\n" * 5000
    (directory / "effective.yaml").write_text(config, encoding="utf-8")
    return directory


def _record(i: int) -> dict[str, Any]:
    texts = dict.fromkeys(TEXT_FIELDS, f"{ATTACK} {i % 3}")
    phase = "steady" if i < 60 else f"{SCRIPT}phase"
    outcome = "ok" if i % 2 else "server_error"
    return make_record(
        i, run_id=ATTACK, cell=NAME, outcome=outcome, error_message=ATTACK + ENORMOUS, phase=phase, **texts
    )
