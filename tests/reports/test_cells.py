from typing import Any

import pytest

from reports.cells import cell_results, load_name, model_name, varying


def cell(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "cell": name, "model_id": "amazon.nova-pro-v1:0", "service_tier": "default", "prompt_size": "small",
        "users": 30, "rate_rps": None, "pattern": "sustained", "status": "finished", **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model_id", "routing", "name"),
    [
        ("us.amazon.nova-pro-v1:0", None, "nova-pro"),
        ("anthropic.claude-3-haiku-20240307-v1:0", None, "claude-3-haiku-20240307"),
        (None, "nova", "mix nova"),
        (None, None, "—"),
    ],
)
def test_models_are_called_by_what_tells_them_apart(model_id: str | None, routing: str | None, name: str) -> None:
    assert model_name(model_id, routing) == name


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"users": 30}, "30 users"),
        ({"users": 1}, "1 user"),
        ({"rate_rps": 5.0}, "5/s"),
        ({"rate_rps": 0.25, "users": 10, "load_model": "open"}, "0.25/s"),
        ({}, "—"),
    ],
)
def test_a_load_level_names_its_loop(fields: dict[str, Any], name: str) -> None:
    assert load_name(fields) == name


def test_labels_say_only_what_differs() -> None:
    cells = cell_results([], [cell("a"), cell("b", service_tier="flex"), cell("c", users=60)])

    assert varying(cells) == ["load", "tier"]
    assert [each.label(varying(cells)) for each in cells] == [
        "30 users · default",
        "30 users · flex",
        "60 users · default",
    ]


def test_cells_that_differ_in_nothing_shown_go_by_name() -> None:
    cells = cell_results([], [cell("a"), cell("b")])

    assert [each.label(varying(cells)) for each in cells] == ["a", "b"]


def test_reading_order_is_size_load_tier_whatever_the_order_of_the_run() -> None:
    sizes, users, tiers = ("large", "small", "medium"), (90, 30), ("flex", "priority", "default")
    entries = [
        cell(f"{s}-{u}-{t}", prompt_size=s, users=u, service_tier=t) for t in tiers for u in users for s in sizes
    ]

    ordered = sorted(cell_results([], entries), key=lambda each: each.order)

    assert [each.name for each in ordered[:4]] == [
        "small-30-default", "small-30-priority", "small-30-flex", "small-90-default",
    ]  # fmt: skip
    assert ordered[-1].name == "large-90-flex"


def test_cells_that_never_ran_are_listed_with_their_reason() -> None:
    planned = [cell("a"), cell("b", status="skipped", reason="refused"), cell("c", status="pending")]
    found = cell_results(planned, [cell("a", metrics={"requests": 3})])

    assert [(each.number, each.name, each.status, each.reason) for each in found] == [
        (1, "a", "finished", None),
        (2, "b", "skipped", "refused"),
        (3, "c", "pending", None),
    ]
    assert found[1].metrics is None


def test_an_objective_about_other_traffic_leaves_no_doubt_about_a_cell() -> None:
    objectives = [
        {"status": "PASS", "scope": {}, "n": 90},
        {"status": "INCONCLUSIVE", "scope": {"service_tier": "flex"}, "n": 0},
    ]

    assert cell_results([], [cell("a", objectives=objectives)])[0].verdict == "PASS"


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ([], None),
        (["PASS", "PASS"], "PASS"),
        (["PASS", "INCONCLUSIVE"], "INCONCLUSIVE"),
        (["INCONCLUSIVE", "FAIL"], "FAIL"),
    ],
)
def test_a_cell_is_as_good_as_its_worst_objective(statuses: list[str], verdict: str | None) -> None:
    found = cell_results([], [cell("a", objectives=[{"status": status} for status in statuses])])

    assert found[0].verdict == verdict


def test_rounds_of_a_cell_are_told_apart_by_their_number() -> None:
    cells = cell_results([], [cell("a"), cell("b", service_tier="flex"), cell("a-round2", round_number=2)])

    assert varying(cells) == ["round", "tier"]
    assert cells[2].label(varying(cells)) == "round 2 · default"
