"""`python -m benchmarks.statistics`: how often the analysis is right about services whose truth is known.

Populations are invented and drawn from again and again: how many intervals hold the true percentile, how often two runs
of one service are called a regression, how often a slower service is found, how often rounds of one service are called
unsteady. stdout has a table, `--json FILE` all numbers; exit codes as in `benchmarks.command`.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from analysis.comparison import DEFAULT_THRESHOLD, CellComparison, Change, compare_latency, judge_all
from analysis.difference import sample_of
from analysis.percentiles import QUANTILES, interval_ranks
from analysis.shares import share_interval
from analysis.spread import homogeneity
from benchmarks.command import Parser, check_writable, count, run, tell
from benchmarks.emulator_tables import table

SCHEMA_VERSION = 1

Draw = Callable[[np.random.Generator, int], np.ndarray]

#: Requests of each draw of a coverage: the least that the percentile needs, a short run, a long one.
SIZES = {"p50": (6, 300, 2_000), "p95": (72, 300, 2_000), "p99": (368, 1_000, 2_000)}

#: How alike neighbours are where requests come in waves: the correlation of one with the next.
_WAVES = 0.9


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: how many of the draws did so, and what is promised of it."""

    question: str
    population: str
    n: int
    draws: int
    share: float
    promised: str


def lognormal(rng: np.random.Generator, n: int) -> np.ndarray:
    """Latencies of one mode, ms."""
    return rng.lognormal(np.log(400.0), 0.5, n)


def bimodal(rng: np.random.Generator, n: int) -> np.ndarray:
    """A fast and a slow mode, 80 to 20, ms."""
    return np.where(rng.random(n) < 0.8, rng.normal(300.0, 20.0, n), rng.normal(1200.0, 150.0, n))


def waves(rng: np.random.Generator, n: int) -> np.ndarray:
    """Lognormal latencies each of which is like the one before, ms: a service that is slow for a while."""
    steps = rng.normal(0.0, np.sqrt(1.0 - _WAVES**2), n)
    level = np.empty(n)
    last = rng.normal()
    for position, step in enumerate(steps):
        level[position] = last = _WAVES * last + step
    return np.asarray(400.0 * np.exp(0.5 * level))


POPULATIONS: dict[str, Draw] = {"lognormal": lognormal, "bimodal": bimodal}


def true_quantile(population: str, q: float) -> float:
    """The percentile of a whole population, ms."""
    if population == "lognormal":
        return float(stats.lognorm(0.5, scale=400.0).ppf(q))
    fast, slow = stats.norm(300.0, 20.0), stats.norm(1200.0, 150.0)
    grid = np.linspace(100.0, 2500.0, 240_001)
    return float(grid[np.searchsorted(0.8 * fast.cdf(grid) + 0.2 * slow.cdf(grid), q)])


def coverage(population: str, name: str, n: int, draws: int, seed: int) -> float:
    """The share of draws whose 95 % interval holds the true percentile."""
    rng, truth = np.random.default_rng(seed), true_quantile(population, QUANTILES[name])
    ranks = interval_ranks(n, QUANTILES[name])
    if ranks is None:
        raise ValueError(f"{n} values have no {name}")
    held = 0
    for _ in range(draws):
        ordered = np.sort(POPULATIONS[population](rng, n))
        held += bool(ordered[ranks[0]] <= truth <= ordered[ranks[1]])
    return held / draws


def share_coverage(share: float, n: int, draws: int, seed: int) -> float:
    """The share of draws whose interval holds the true share."""
    hits = np.random.default_rng(seed).binomial(n, share, draws)
    ends = {int(count): share_interval(count / n, n) for count in np.unique(hits)}
    return float(np.mean([ends[int(count)][0] <= share <= ends[int(count)][1] for count in hits]))


def called_worse(draw: Draw, n: int, factor: float, *, threshold: float, draws: int, seed: int) -> float:
    """The share of draws in which any percentile of a service `factor` times as slow is called regressed."""
    found = 0
    for number in range(draws):
        rng = np.random.default_rng((seed, number))
        rows, _ = compare_latency("e2e_ms", sample_of(draw(rng, n) * factor), sample_of(draw(rng, n)))
        (cell,) = judge_all([CellComparison("this", "baseline", rows=tuple(rows))], threshold)
        found += cell.status == Change.REGRESSED
    return found / draws


def called_unsteady(draw: Draw, n: int, rounds: int, draws: int, seed: int) -> float:
    """The share of draws in which rounds of one service are told apart by their p95, uncorrected."""
    rng, found = np.random.default_rng(seed), 0
    for _ in range(draws):
        samples = [draw(rng, n) for _ in range(rounds)]
        limit = np.quantile(np.concatenate(samples), 0.95)
        p = homogeneity([values > limit for values in samples])
        found += p is not None and p < 0.05
    return found / draws


def rows_of(draws: int, fewer: int, seed: int) -> Iterator[Row]:
    """All figures; intervals from `draws` draws, comparisons from `fewer`."""
    for population in POPULATIONS:
        for name, sizes in SIZES.items():
            for n in sizes:
                held = coverage(population, name, n, draws, seed)
                yield Row(f"the interval of the {name} holds it", population, n, draws, held, "at least 93 %")
    for share, n in ((0.01, 100), (0.01, 2_000), (0.99, 368), (0.2, 500)):
        held = share_coverage(share, n, draws, seed)
        yield Row("the interval of a share holds it", f"{share:g}", n, draws, held, "at least 93 %")
    for population, draw in {**POPULATIONS, "waves": waves}.items():
        for threshold in (0.0, DEFAULT_THRESHOLD):
            worse = called_worse(draw, 500, 1.0, threshold=threshold, draws=fewer, seed=seed)
            question = f"the same service is called regressed, threshold {threshold * 100.0:g} %"
            yield Row(question, population, 500, fewer, worse, "at most 5 %")
    for population, draw in POPULATIONS.items():
        worse = called_worse(draw, 2_000, 1.15, threshold=DEFAULT_THRESHOLD, draws=fewer, seed=seed)
        yield Row("a service 15 % slower is called regressed", population, 2_000, fewer, worse, "at least 95 %")
    for population, draw in {**POPULATIONS, "waves": waves}.items():
        unsteady = called_unsteady(draw, 500, 3, fewer, seed)
        yield Row("three rounds of one service are called unsteady", population, 500, fewer, unsteady, "at most 5 %")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, draw, print; the exit code."""
    return run(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> None:
    options = _parser().parse_args(arguments)
    if options.json is not None:
        check_writable(options.json)
    rows = []
    for row in rows_of(options.draws, options.comparisons, options.seed):
        tell(f"{row.question} ({row.population}, {row.n:,} requests)")
        rows.append(row)
    print(render(rows))
    if options.json is not None:
        content = {"schema_version": SCHEMA_VERSION, "seed": options.seed, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def render(rows: Sequence[Row]) -> str:
    """The figures as a table."""
    shown: list[dict[str, Any]] = [
        {
            "": row.question,
            "of": row.population,
            "requests": f"{row.n:,}",
            "draws": f"{row.draws:,}",
            "share": f"{row.share * 100.0:.1f} %",
            "promised": row.promised,
        }
        for row in rows
    ]
    return table("How often the analysis is right where the truth is known", shown)


def _parser() -> Parser:
    parser = Parser(prog="python -m benchmarks.statistics", description="How often the analysis is right.")
    parser.add_argument("--draws", type=count, default=2_000, metavar="N", help="of each interval; default 2000")
    parser.add_argument("--comparisons", type=count, default=500, metavar="N", help="of each comparison; default 500")
    parser.add_argument("--seed", type=count, default=1, metavar="N", help="another series of draws")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
