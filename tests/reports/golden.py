"""Comparison with files of known content.

`UPDATE_GOLDENS=1 python -m pytest tests/reports` writes them anew; look at the difference before keeping it.
"""

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def assert_matches_golden(text: str, name: str) -> None:
    """Compare with `golden/<name>`; write it instead where UPDATE_GOLDENS is set."""
    path = FOLDER / name
    if os.environ.get("UPDATE_GOLDENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    expected = path.read_text(encoding="utf-8")

    assert text == expected, f"{name} changed; if it should have: UPDATE_GOLDENS=1 (see tests/reports/golden.py)"
