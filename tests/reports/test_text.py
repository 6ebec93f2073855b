import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.material import prepare
from reports.text import TEXT_LIMIT, clean, clean_lines, clean_tree, shorten

FORBIDDEN = "\x00\x07\x1b\x7f\x9b\u200b\u202e\u2066\ufeff\ufffe"


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://evil\x07click\x1b]8;;\x07", "click"),
        ("\x1b(Bplain\x9b1m", "plain"),
        ("two\r\nlines\tand  blanks", "two lines and blanks"),
        ("invoice\u202egpj.exe", "invoicegpj.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("a \x00 b", "a b"),
        ("  ends  ", "ends"),
        ("half a pair \ud83d", "half a pair"),
        ("漫画 ワンピース", "漫画 ワンピース"),
        ("", ""),
    ],
)
def test_what_a_terminal_or_a_browser_could_obey_is_dropped(dirty: str, expected: str) -> None:
    assert clean(dirty) == expected


def test_account_ids_and_keys_are_masked() -> None:
    text = clean("arn:aws:bedrock:us-east-1:123456789012:model/x denied for AKIAABCDEFGHIJKLMNOP")

    assert "123456789012" not in text
    assert "AKIA" not in text
    assert text.startswith("arn:aws:bedrock:us-east-1:<account>")


@pytest.mark.parametrize("start", range(TEXT_LIMIT - 14, TEXT_LIMIT + 1))
def test_a_secret_across_the_cut_is_masked_before_it_is_cut(start: int) -> None:
    text = clean("x" * (start - 1) + " 123456789012 and more")

    assert "1234" not in text


def test_terminal_sequences_inside_a_secret_do_not_hide_it() -> None:
    assert "123456789012" not in clean("account 1234\x1b[0m56789012 here")


@settings(deadline=None)
@given(st.text(max_size=3000), st.integers(5, 400))
def test_a_clean_text_is_one_short_line_that_any_file_can_hold(text: str, limit: int) -> None:
    cleaned = clean(text, limit)

    assert len(cleaned) <= limit
    assert "\n" not in cleaned
    assert not set(FORBIDDEN) & set(cleaned)
    cleaned.encode("utf-8")


@settings(deadline=None)
@given(st.text(max_size=500))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


def test_a_megabyte_is_cut() -> None:
    assert len(clean("<b>" * 400_000)) <= TEXT_LIMIT


def test_every_string_of_a_tree_is_cleaned_keys_included() -> None:
    tree = {"a\x1b[1m": ["\x1b[31mred", {"n": 1.5, "none": None}], "flag": True}

    assert clean_tree(tree) == {"a": ["red", {"n": 1.5, "none": None}], "flag": True}
    assert "\\u001b" not in json.dumps(clean_tree(tree))


def test_configuration_keeps_its_lines_and_indentation() -> None:
    lines = clean_lines("load:\n\trate: 5/s\n  key: AKIAABCDEFGHIJKLMNOP\n" + "x: 1\n" * 50, limit=10)

    assert lines[:3] == ["load:", "    rate: 5/s", "  key: <access-key>"]
    assert len(lines) == 10


@settings(deadline=None)
@given(st.text(max_size=100), st.integers(4, 60))
def test_a_shortened_name_keeps_both_ends(name: str, limit: int) -> None:
    short = shorten(name, limit)

    assert len(short) <= max(limit, 0)
    if len(name) > limit:
        assert short[0] == name[0]
        assert short[-1] == name[-1]
    else:
        assert short == name


def test_names_that_differ_only_in_what_nobody_sees_are_one_in_the_records() -> None:
    tiers = pd.Categorical(["flex", "de\u200bfault", None, "default", "flex\x1b[2K"])
    cleaned = prepare({}, {}, pd.DataFrame({"service_tier": tiers})).records["service_tier"]

    assert cleaned.isna().tolist() == [False, False, True, False, False]
    assert cleaned.dropna().tolist() == ["flex", "default", "default", "flex"]
    assert cleaned.groupby(cleaned).size().to_dict() == {"default": 2, "flex": 2}
