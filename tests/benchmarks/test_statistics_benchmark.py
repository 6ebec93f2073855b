"""The simulations of the analysis: few draws, but of everything; and populations whose truth is what they say."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import statistics

DRAWS = ["--draws", "20", "--comparisons", "2"]


def test_every_question_is_answered_and_repeats_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "statistics.json"

    codes = [statistics.main([*DRAWS, "--json", str(file)]) for _ in range(2)]

    rows = json.loads(file.read_text())["rows"]
    first, second = capsys.readouterr().out.split("How often")[1:]
    assert codes == [0, 0]
    assert first == second
    assert len({row["question"] for row in rows}) == 8
    assert all(0.0 <= row["share"] <= 1.0 for row in rows)


@pytest.mark.parametrize("population", statistics.POPULATIONS)
@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
def test_the_truth_is_that_of_the_population(population: str, q: float) -> None:
    values = statistics.POPULATIONS[population](np.random.default_rng(1), 200_000)

    assert np.mean(values <= statistics.true_quantile(population, q)) == pytest.approx(q, abs=0.004)


def test_neighbours_in_waves_are_alike_and_as_many_are_slow_as_elsewhere() -> None:
    values = np.log(statistics.waves(np.random.default_rng(1), 50_000) / 400.0)

    assert np.corrcoef(values[:-1], values[1:])[0, 1] == pytest.approx(0.9, abs=0.02)
    assert np.std(values) == pytest.approx(0.5, abs=0.03)


def test_a_useless_question_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert statistics.main(["--draws", "0"]) == 4
    assert "not a whole number above 0" in capsys.readouterr().err
