import re
from pathlib import Path

import pytest

from reports.markdown import MAX_BYTES, plain, render_markdown
from tests.reports.golden import assert_matches_golden
from tests.reports.pages import Rendered, material_of
from tests.support.run_builder import CellSpec, build_run


def test_the_summary_of_a_small_run_is_the_known_one(small_run: Rendered) -> None:
    assert_matches_golden(small_run.text("summary.md"), "summary.md")


def test_the_first_lines_are_the_verdict_the_reason_and_the_exit_code(small_run: Rendered) -> None:
    lines = small_run.text("summary.md").splitlines()

    assert lines[0] == "## ❌ FAIL: built-for-tests"
    assert lines[2].startswith("**Missed: ttft_ms p95 < 600ms")
    assert lines[2].endswith("(exit code 1, an objective failed)")


def test_every_row_of_a_table_has_as_many_cells_as_its_head(small_run: Rendered) -> None:
    blocks = re.findall(r"(?:^\|.*\n)+", small_run.text("summary.md"), flags=re.MULTILINE)

    assert len(blocks) >= 4
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_a_summary_of_150_cells_with_long_names_fits(tmp_path: Path) -> None:
    cells = [
        CellSpec(f"c{i}-{'x' * 180}", n=1, users=i, rate_rps=None, model_id="m" * 500 + str(i)) for i in range(1, 151)
    ]
    run = build_run(tmp_path / "run", cells, objectives=[f"nonsense {i} {'y' * 500}" for i in range(150)])
    text = render_markdown(material_of(run))

    assert len(text.encode()) <= MAX_BYTES + 100
    assert "did not fit here: see report.html" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<b>bold</b>", r"\<b>bold\</b>"),
        ("ttft_ms p95 < 400ms", "ttft_ms p95 < 400ms"),
        ("_emphasis_ and *stars*", r"\_emphasis\_ and \*stars\*"),
        ("![x](http://evil)", "!\\[x\\](http:\\//evil)"),
        ("`code`", r"\`code\`"),
        ("@everyone #12", "@\u200beveryone #\u200b12"),
        ("&lt;", r"\&lt;"),
        ("漫画 100 %", "漫画 100 %"),
    ],
)
def test_text_is_never_markup(text: str, shown: str) -> None:
    assert plain(text) == shown
