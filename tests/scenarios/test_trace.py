"""Trace files: what is read, and the one sentence about what is wrong."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.arrivals import Wanted
from scenarios.trace import MAX_LINE_BYTES, TraceError, read_trace


def written(folder: Path, text: str | bytes, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_csv_trace_says_when_and_what(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "\ufeffTime , Query_Type,prompt_id,input_tokens,output_tokens,model,user\r\n"
        "100.5,greeting,g1,7,20,us.amazon.nova-pro-v1:0,ann\r\n"
        '101,"price_check",,,,,"bob, the second"\r\n'
        "\r\n"
        "101,,,,30.0,,\r\n",
    )
    trace = read_trace(path)

    assert list(trace.times_s) == [0.0, 0.5, 0.5]
    assert trace.wanted == (
        Wanted("greeting", "g1", 7, 20, "amazon.nova-pro-v1:0"),
        Wanted("price_check"),
        Wanted(output_tokens=30),
    )
    assert trace.span_s == 0.5


def test_a_jsonl_trace_says_the_same_and_our_own_records_are_one(tmp_path: Path) -> None:
    rows = [
        {"intended_at": 1795267837.25, "query_type": "greeting", "model_id": "us.amazon.nova-pro-v1:0", "cell": "x"},
        {"intended_at": 1795267838.5, "input_tokens": 12, "output_tokens": None},
    ]
    trace = read_trace(written(tmp_path, "".join(json.dumps(row) + "\n\n" for row in rows), "trace.jsonl"))

    assert list(trace.times_s) == [0.0, 1.25]
    assert trace.wanted == (Wanted("greeting", model_id="amazon.nova-pro-v1:0"), Wanted(input_tokens=12))


@pytest.mark.parametrize(
    ("one", "other", "gap_s"),
    [
        ("0", "12.5", 12.5),
        ("1795267837", "1795267839", 2.0),
        ("2026-11-21T09:00:00Z", "2026-11-21T18:00:01.5+09:00", 1.5),
        ("2026-11-21 09:00", "2026-11-21T09:00:30+00:00", 30.0),
        ("-5", "5", 10.0),
        ("0001-01-01T00:00:00", "0001-01-02T00:00:00", 86_400.0),
    ],
)
def test_times_are_seconds_or_dates_and_count_from_the_first(
    tmp_path: Path, one: str, other: str, gap_s: float
) -> None:
    assert read_trace(written(tmp_path, f"timestamp\n{one}\n{other}\n")).span_s == gap_s


CSV = "time,query_type,output_tokens\n"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (CSV + "0,,\n2026-01-31T09:00:00Z,,\n", 3, "more than 31 days after the first; is one in seconds"),
        (CSV + "0,,\n1e300,,\n", 3, "more than 31 days after the first"),
        (CSV + "2,,\n1,,\n", 3, "the time is before that of line 2; sort the trace by time"),
        (CSV + "soon,,\n", 2, "time is 'soon': write seconds, or a date with time like 2026-01-31T09:00:00Z"),
        (CSV + ",greeting,\n", 2, "the line has no time"),
        (CSV + "nan,,\n", 2, "no moment"),
        (CSV + "1e999,,\n", 2, "no moment"),
        (CSV + "1,,0\n", 2, "output_tokens is '0': write a whole number from 1"),
        (CSV + "1,,99999999999\n", 2, "output_tokens is '99999999999'"),
        (CSV + "1,,1.5\n", 2, "output_tokens is '1.5'"),
        (CSV + "1,a\n", 2, "the line has 2 columns, the first line names 3"),
        (CSV + f"1,{'x' * 300},\n", 2, "query_type must be at most 200 printable characters"),
        (CSV + "1,\x1b[31mred,\n", 2, "printable"),
        (CSV + '1,"a\n', 2, "the line is not CSV"),
        (CSV + "1," + "x" * MAX_LINE_BYTES + ",\n", 2, "the line is longer than 100,000 bytes"),
        (b"time\n1\n\xff\n", 3, "the line is not UTF-8 text"),
        ("at,query\n1,a\n", 1, "the first line must name the columns, one of them time or timestamp or intended_at"),
        ("time,a,a\n1,2,3\n", 1, "the column 'a' is there twice"),
        (CSV + "".join(f"{n},type{n},\n" for n in range(201)), 202, "more than 200 query types"),
    ],
)
def test_what_is_wrong_with_a_csv_trace_is_one_sentence_with_the_line(
    tmp_path: Path, text: str | bytes, line: int, said: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(TraceError) as caught:
        read_trace(path)

    assert str(caught.value).startswith(f"Cannot use {path}:{line} as a trace: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('{"time": 1}\n{"time": \n', 2, "the line is not JSON"),
        ("[1, 2]\n", 1, "the line must be an object with a time, not a list"),
        ('{"time": true}\n', 1, "time must be seconds or a date with time, not true or false"),
        ('{"time": NaN}\n', 1, "no moment"),
        ('{"time": ' + "9" * 400 + "}\n", 1, "no moment"),
        ('{"time": 1, "query_type": ["a"]}\n', 1, "query_type must be text, not a list"),
        ('{"time": 1, "input_tokens": true}\n', 1, "input_tokens is 'True'"),
        ("[" * 50_000 + "\n", 1, "the line is "),
    ],
)
def test_what_is_wrong_with_a_jsonl_trace_is_one_sentence_with_the_line(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    path = written(tmp_path, text, "trace.jsonl")
    with pytest.raises(TraceError) as caught:
        read_trace(path)

    assert str(caught.value).startswith(f"Cannot use {path}:{line} as a trace: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("trace.csv", "", "it has no messages"),
        ("trace.csv", "time\n", "it has no messages"),
        ("trace.jsonl", "\n\n", "it has no messages"),
        ("trace.txt", "time\n1\n", "must end in .csv or .jsonl"),
    ],
)
def test_files_without_messages_are_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(TraceError, match=said):
        read_trace(written(tmp_path, text, name))


def test_a_file_that_is_not_there_or_is_a_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"nowhere.csv as a trace: the file cannot be read \(No such file"):
        read_trace(tmp_path / "nowhere.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TraceError, match="it is not a file"):
        read_trace(tmp_path / "folder.csv")


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = written(tmp_path, "time\n1\n2\n")
    assert len(read_trace(path).times_s) == 2
    written(tmp_path, "time\n1\n2\n3\n")

    assert len(read_trace(path).times_s) == 3


def test_tens_of_thousands_of_equal_messages_share_what_is_known_of_them(tmp_path: Path) -> None:
    rows = "".join(f"{n / 100},type{n % 7},{n % 3 + 1}\n" for n in range(50_000))
    trace = read_trace(written(tmp_path, CSV + rows))

    assert len(trace.times_s) == len(trace.wanted) == 50_000
    assert len({id(wanted) for wanted in trace.wanted}) == len(trace.first_lines) == 21


@given(st.binary(max_size=300), st.sampled_from(["trace.csv", "trace.jsonl"]))
def test_any_bytes_are_a_trace_or_one_error_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    head = b"time,query_type\n" if name.endswith("csv") else b""
    try:
        trace = read_trace(written(tmp_path_factory.mktemp("bytes"), head + content, name))
    except TraceError:
        return
    assert list(trace.times_s) == sorted(trace.times_s)
