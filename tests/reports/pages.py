"""What the tests of reports share: runs to render, and a reader of the page that is not a browser."""

import fcntl
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from analysis.summary import Analysis, analyse
from reports.material import Material, prepare
from reports.render import write_reports
from tests.support.run_builder import CellSpec, build_run, make_record, write_run

OBJECTIVES = [
    "ttft_ms p95 < 600ms",
    "e2e_ms p95 < 1500ms where output_tokens < 500",
    "sla_compliance >= 99%",
    "throttle_rate <= 1% for service_tier=priority",
    "ttft_ms p99 < 900ms for service_tier=flex",
]

_PICTURES = re.compile(r'(?<=-only">)<svg.*?</svg>(?=</div>)|(?<=<style id="chart-styles">).*?(?=</style>)', re.DOTALL)


@dataclass(frozen=True)
class Rendered:
    """A results directory with its reports."""

    directory: Path
    analysis: Analysis
    paths: list[Path]

    def text(self, name: str) -> str:
        """Content of one of the files."""
        return (self.directory / name).read_text(encoding="utf-8")


def render(directory: Path, *, with_charts: bool = True) -> Rendered:
    """Analyse a results directory and write its reports."""
    analysis = analyse(directory)
    return Rendered(directory, analysis, write_reports(directory, analysis, with_charts=with_charts))


def rendered_once(
    factory: pytest.TempPathFactory, name: str, build: Callable[[Path], Mapping[str, Path]]
) -> dict[str, Rendered]:
    """The runs that `build` writes, with their reports, by name; tests only read them.

    Drawing takes seconds a run: of several test processes the first does it, the others wait for it and read.
    """
    base = factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"rendered-{name}"
    root.mkdir(exist_ok=True)
    done = root / "written.json"
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            runs = {run: render(path) for run, path in build(root).items()}
            done.write_text(json.dumps({run: [str(r.directory), *map(str, r.paths)] for run, r in runs.items()}))
            return runs
    written = {run: [Path(path) for path in paths] for run, paths in json.loads(done.read_text()).items()}
    return {run: Rendered(paths[0], analyse(paths[0]), paths[1:]) for run, paths in written.items()}


def material_of(directory: Path) -> Material:
    """What the reports of a results directory are made of."""
    analysis = analyse(directory)
    return prepare(analysis.summary, analysis.run, analysis.records, analysis.health)


def suite(n: int = 80, users: tuple[int, ...] = (30, 60, 90)) -> list[CellSpec]:
    """The permutation suite: three tiers, three sizes, as many load levels as given."""
    return [
        CellSpec(
            f"us-{tier}-{size}-u{count}",
            n=n,
            users=count,
            rate_rps=None,
            service_tier=tier,
            prompt_size=size,
            ttft_ms=ttft_ms * slower * (1 + count / 150),
            output_tokens=tokens,
        )
        for tier, slower in (("default", 1.0), ("priority", 0.7), ("flex", 1.7))
        for size, ttft_ms, tokens in (("small", 140.0, 50), ("medium", 190.0, 120), ("large", 290.0, 330))
        for count in users
    ]


def degenerate_runs(root: Path) -> dict[str, Path]:
    """Runs that a report must survive, by name."""
    twin = {"service_tier": "default", "prompt_size": "small"}
    return {
        "no cells": write_run(root / "none", {}, cells=[], objectives=OBJECTIVES),
        "all skipped": build_run(root / "skipped", [CellSpec("a", status="skipped", reason="flex is refused")]),
        "one request": write_run(root / "one", {"a": [make_record(0)]}),
        "all failed": write_run(root / "failed", {"a": [make_record(i, outcome="throttled") for i in range(30)]}),
        "nothing sent": write_run(root / "dropped", {"a": [make_record(i, outcome="dropped") for i in range(4)]}),
        "interrupted": build_run(
            root / "interrupted",
            [CellSpec("a", n=90), CellSpec("b", n=20, status="interrupted"), CellSpec("c", status="pending")],
            objectives=OBJECTIVES,
            stopped_by="interrupt",
            ended_at=None,
        ),
        "bare run.json": write_run(
            root / "bare", {"a": [make_record(i) for i in range(8)]}, cells=[], objectives=[],
            **dict.fromkeys(("started_at", "command", "versions", "target", "load_model", "scenario", "seed")),
        ),
        "equal cells": build_run(root / "twins", [CellSpec("a", **twin), CellSpec("b", **twin)]),
    }  # fmt: skip


def without_pictures(page: str) -> str:
    """The page with every drawing and its styles replaced by a word: they depend on the fonts of the machine."""
    return _PICTURES.sub("PICTURE", page)


@dataclass
class Tag:
    """One element of a page."""

    name: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """All elements of a page in order, each with the text directly inside it."""

    source: str
    tags: list[Tag] = field(default_factory=list)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)
        self._open: list[Tag] = []
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Tag(tag, {name: value or "" for name, value in attrs})
        self.tags.append(element)
        if tag not in {"meta", "br"}:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(Tag(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in [element.name for element in self._open]:
            while self._open.pop().name != tag:
                pass

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, name: str, **attributes: Any) -> list[Tag]:
        """Elements of a name with the given attributes (`class_` for class)."""
        wanted = {key.rstrip("_"): value for key, value in attributes.items()}
        return [t for t in self.tags if t.name == name and wanted.items() <= t.attributes.items()]

    def words(self, name: str, **attributes: Any) -> list[str]:
        """Texts of those elements, white space collapsed."""
        return [" ".join(tag.text.split()) for tag in self.all(name, **attributes)]

    def table(self, caption: str) -> list[list[str]]:
        """Rows of the table with that caption, as texts."""
        body = next(tag for tag in self.tags if tag.name == "table" and caption in tag.text)
        start = self.tags.index(body)
        rows: list[list[str]] = []
        for tag in self.tags[start + 1 :]:
            if tag.name == "table":
                break
            if tag.name == "tr":
                rows.append([])
            elif tag.name in ("td", "th") and rows:
                rows[-1].append(" ".join(tag.text.split()))
        return rows
