import re
from html import escape
from itertools import pairwise

import pytest

from reports.charts.catalogue import overview_chart, render
from reports.drawing import page_figures
from reports.html import render_html
from reports.material import prepare
from reports.timeline import timeline
from tests.reports.golden import assert_matches_golden
from tests.reports.pages import OBJECTIVES, Page, Rendered, without_pictures

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
FILES = ("consolidated_results_20270115T080000Z.csv", "token_data.jsonl", "summary.json", "junit.xml")
FIRST_SCREEN = ["verdict", "objectives-heading", "headline-heading", "overview-heading", "identity-heading"]


@pytest.fixture(scope="module")
def page(small_run: Rendered) -> Page:
    return Page(small_run.text("report.html"))


def test_the_page_of_a_small_run_is_the_known_one(small_run: Rendered) -> None:
    assert_matches_golden(without_pictures(small_run.text("report.html")), "report.html")


def test_the_page_allows_itself_nothing(page: Page) -> None:
    policies = [t.attributes["content"] for t in page.all("meta") if "http-equiv" in t.attributes]

    assert policies == [POLICY]
    assert not [t for t in page.tags if t.name in ("script", "link", "iframe", "object", "embed", "form", "base")]


def test_the_page_refers_to_nothing_outside_itself(page: Page) -> None:
    for tag in page.tags:
        for name in ("src", "srcset", "href", "action", "poster", "background"):
            allowed = ("#", "data:image/png;base64,") if tag.name == "image" else ("#",)
            is_file = tag.name == "a" and tag.attributes.get(name) in FILES
            assert is_file or tag.attributes.get(name, "#").startswith(allowed), tag.attributes[name][:80]
    assert not re.search(r"url\((?!#)|@import", " ".join(page.words("style")))


def test_every_link_on_the_page_leads_somewhere(page: Page, odd_runs: dict[str, Rendered]) -> None:
    for each in (page, Page(odd_runs["no cells"].text("report.html"))):
        ids = {tag.attributes["id"] for tag in each.tags if "id" in tag.attributes}

        assert {tag.attributes["href"][1:] for tag in each.all("a") if tag.attributes["href"][0] == "#"} <= ids


def test_no_id_is_given_twice(page: Page) -> None:
    ids = [tag.attributes["id"] for tag in page.tags if "id" in tag.attributes]

    assert len(ids) == len(set(ids))


def test_the_first_screen_answers_in_order_before_anything_else(page: Page) -> None:
    ids = [tag.attributes.get("id", "") for tag in page.tags]
    positions = [ids.index(name) for name in FIRST_SCREEN]

    assert positions == sorted(positions)
    assert positions[-1] < ids.index("findings")


def test_the_verdict_is_a_word_a_shape_and_a_reason_with_the_exit_code(page: Page) -> None:
    verdict = next(tag for tag in page.tags if tag.attributes.get("id") == "verdict")
    words = " ".join(verdict.text.split())

    assert words.startswith("FAIL Missed: ")
    assert "Exit code 1 an objective failed" in words
    assert "svg" in [tag.name for tag in page.tags[page.tags.index(verdict) :][:4]]


def test_objectives_show_limit_observed_margin_and_n(page: Page, small_run: Rendered) -> None:
    rows = page.table("Objectives")

    assert rows[0] == ["Objective", "Status", "Observed", "95 % interval", "Limit", "Margin", "n", "Scope"]
    assert [row[0] for row in rows[1:]] == OBJECTIVES
    first = small_run.analysis.summary["objectives"][0]
    assert rows[1][1].startswith("FAIL")
    assert rows[1][2] == f"{first['observed']:,.0f} ms"
    assert rows[1][4] == "600 ms"
    assert rows[1][6] == f"{first['n']:,}"


def test_an_objective_without_enough_data_is_inconclusive_with_the_reason(page: Page) -> None:
    row = next(row for row in page.table("Objectives") if row[0].startswith("ttft_ms p99"))

    assert row[1].startswith("INCONCLUSIVE needs 128 more samples")
    assert row[2] == "—"


def test_every_cell_is_listed_also_the_one_that_did_not_run(page: Page) -> None:
    rows = page.table("Cells")[1:]

    assert len(rows) == 6
    skipped = next(row for row in rows if "reserved" in row[0])
    assert skipped[1].startswith("skipped amazon.nova-pro-v1:0 does not serve the reserved tier")
    assert set(skipped[2:]) == {"—"}


def test_no_dash_stands_without_a_reason(page: Page) -> None:
    bare = [tag for tag in page.tags if tag.name in ("td", "th") and tag.text.strip() == "—"]
    explained = [tag for tag in page.all("abbr") if tag.attributes.get("title")]

    assert bare
    assert len(bare) == len(explained)


def test_tables_have_captions_and_headings_with_scope(page: Page) -> None:
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(tag.attributes.get("scope") in ("col", "row") for tag in page.all("th"))


def test_headings_go_down_one_level_at_a_time(page: Page) -> None:
    levels = [int(tag.name[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag.name)]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_chart_is_there_for_both_widths_with_its_words(page: Page) -> None:
    figures = len(page.all("figure"))
    assert figures >= 11
    assert len(page.all("div", class_="chart wide-only")) == len(page.all("div", class_="chart narrow-only")) == figures
    words = [tag.attributes["aria-label"] for tag in page.all("div", role="img")]
    assert len(words) == figures
    assert all(len(text) > 60 and "The numbers are in the section" in text for text in words)
    assert all(caption.endswith("Numbers") for caption in page.words("figcaption"))


def test_both_palettes_are_there_and_the_dark_one_for_screens_only(page: Page) -> None:
    light, dark = page.words("style", id="chart-styles")[0].split("@media screen and (prefers-color-scheme: dark)")

    assert "--chart-ink:#1b2027" in light
    assert "--chart-ink:#e7ecf2" in dark
    assert not re.search("(fill|stroke):#1b2027", dark)


def test_the_page_says_which_loop_it_was_and_that_it_was_the_emulator(page: Page) -> None:
    words = " ".join(page.words("p"))

    assert "Open and closed loop, by cell" in words
    assert "say nothing about AWS" in words


def test_a_closed_loop_is_said_plainly(suite_run: Rendered) -> None:
    assert "Closed loop: each user waits for the answer" in suite_run.text("report.html")


def test_errors_are_counted_by_kind(page: Page, small_run: Rendered) -> None:
    rows = page.table("Attempts that did not end ok")[1:]
    outcomes = small_run.analysis.summary["total"]["metrics"]["outcomes"]

    assert {row[0]: int(row[3]) for row in rows} == {k: v for k, v in outcomes.items() if v and k != "ok"}


def test_the_configuration_is_shown_with_its_japanese(page: Page) -> None:
    assert "traffic: 漫画" in page.words("code")[-1]


def test_the_page_of_27_cells_stays_small(suite_run: Rendered) -> None:
    assert len(suite_run.text("report.html").encode()) < 2_000_000


def test_500_cells_are_listed_in_pages_on_a_page_that_stays_small(small_run: Rendered) -> None:
    analysis = small_run.analysis
    cells = [{**analysis.summary["cells"][0], "cell": f"c{i}", "users": i, "rate_rps": None} for i in range(1, 511)]
    material = prepare({**analysis.summary, "cells": cells}, {**analysis.run, "cells": []}, analysis.records)
    time = timeline(material)
    overview = overview_chart(material, time)
    text = render_html(material, time, page_figures([overview], [render(overview)]), None, "cells.csv")
    page = Page(text)

    assert len(text.encode()) < 1_200_000  # as much again is left for the charts, which draw 60 cells at most
    assert "Cells, 451 to 500 of 510" in page.words("summary")
    assert len(page.table("Cells, 451 to 500 of 510")) == 51
    assert "10 more rows are in the files beside this page" in text


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        ("no cells", "Nothing was sent: no cell was started"),
        ("all skipped", "1 of 1 cells was skipped"),
        ("one request", "needs 71 more samples"),
        ("all failed", "30 of 30 attempts throttled"),
        ("nothing sent", "INCONCLUSIVE"),
        ("interrupted", "Partial results: stopped at 47 % of the planned load time, interrupted after 1 of 3 cells."),
        ("bare run.json", "The load model of this run was not recorded."),
        ("equal cells", "Only one value each"),
    ],
)
def test_there_is_a_page_whatever_happened(odd_runs: dict[str, Rendered], odd: str, says: str) -> None:
    text = odd_runs[odd].text("report.html")

    assert escape(says, quote=False) in text
    assert len(Page(text).all("figure")) >= 6
    assert not re.search(r"\bnan\b|\bNone\b|\bNaT\b|undefined", Page(text).words("main")[0])
