"""What each validity check observes in one cell; None where its figures are missing.

Health is judged process by process and the worst one counts: a process at its limit delays its own share of the
calls, whatever the others have left. A lag that is small is judged by how often it occurred, a long one by the time
that it took: five seconds without a sign of life are one health line.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from analysis.evidence import CellEvidence
from analysis.records import Flags, flags, floats, moved_tiers
from bedrock.failures import Failure
from bedrock.outcome import Outcome

#: A lag counts as the cell's once it happened this often: one late call in a short run is an accident.
_OCCURRENCES = 3

#: Only lags up to this (ms) are excused as accidents; a longer one is long enough to be seen in the results.
ACCIDENT_MS = 500.0


def typical_worst(values: np.ndarray) -> float | None:
    """The p99, but where it is an accident never more than the third-largest value; None below three values.

    Equal to the p99 from about 300 values on. In a short run the p99 is the largest value or nearly so, and one
    late call would condemn the run. Values above `ACCIDENT_MS` are no accidents.
    """
    present = values[~np.isnan(values)]
    if len(present) < _OCCURRENCES:
        return None
    p99 = float(np.quantile(present, 0.99))
    if present.max() > ACCIDENT_MS:
        return p99
    return min(p99, float(np.partition(present, -_OCCURRENCES)[-_OCCURRENCES]))


def measured_time_share(cell: CellEvidence) -> float | None:
    """Measured seconds / planned ones, of cells that are said to have finished; others are known to be cut short."""
    planned, measured = cell.info.planned_s, cell.window.seconds()
    if not planned or cell.info.status not in ("finished", "unlisted") or cell.books_unclosed:
        return None
    return min(1.0, (measured or 0.0) / planned)


def send_lag_ms(cell: CellEvidence) -> float | None:
    """The send lag that is typical of the cell's worst calls (first attempts alone have one)."""
    return typical_worst(floats(cell.records["send_lag_ms"])[_sent_and_measured(cell)])


def receive_lag_ms(cell: CellEvidence) -> float | None:
    """How long the kernel had first tokens before they were read, typical of the cell's worst calls."""
    return typical_worst(floats(cell.records["receive_lag_ms"])[_sent_and_measured(cell)])


def pool_wait_ms(cell: CellEvidence) -> float | None:
    """How long calls waited for a connection, typical of the cell's worst ones."""
    return typical_worst(floats(cell.records["pool_wait_ms"])[_sent_and_measured(cell)])


# Masks of single columns: a part of the frame would be a copy of all of them, a dozen times in each cell.


def _sent_and_measured(cell: CellEvidence) -> Flags:
    return flags(cell.records["sent"]) & flags(cell.records["measured"])


def _answered_and_measured(cell: CellEvidence) -> Flags:
    return flags(cell.records["ok"]) & flags(cell.records["measured"])


def _arrivals(cell: CellEvidence) -> Flags:
    """First attempts of the measured window, sent or dropped: one record per arrival."""
    return flags(cell.records["measured"]) & _stands_for_an_arrival(cell)


def _stands_for_an_arrival(cell: CellEvidence) -> Flags:
    """First attempts; of a conversation the first turn alone, because conversations are what arrives."""
    opens = cell.records["turn"].fillna(1) == 1
    return flags(cell.records["attempt"] == 1) & flags(opens)


def dropped_share(cell: CellEvidence) -> float | None:
    """Dropped / arrivals."""
    return _share_of(_arrivals(cell), flags(cell.records["outcome"] == Outcome.DROPPED))


def _share_of(population: Flags, hits: Flags) -> float | None:
    """The share of hits in a population of records; None of an empty one."""
    chosen = hits[population]
    return float(chosen.mean()) if len(chosen) else None


def achieved_share(cell: CellEvidence) -> float | None:
    """Messages sent / arrivals; retries do not make up for arrivals that were never sent."""
    return _share_of(_arrivals(cell), flags(cell.records["sent"]))


def target_rate_share(cell: CellEvidence) -> float | None:
    """Arrivals scheduled as a share of the rate asked for, given the benefit of chance; a steady pattern only."""
    target, duration_s = cell.info.rate_rps, cell.metrics.duration_s
    if not target or not duration_s or cell.info.raw.get("pattern") != "sustained":
        return None
    offered = int(_arrivals(cell).sum()) / duration_s
    expected = target * duration_s
    # A random process deviates by its standard deviation (3 of them allowed); a regular one by an arrival at the edge.
    chance = 1.0 / expected if cell.info.raw.get("process") == "constant" else 3.0 / np.sqrt(expected)
    return float(min(1.0, offered / target + chance))


def unaccounted_share(cell: CellEvidence) -> float | None:
    """Arrivals that left no record / arrivals."""
    offered = cell.load.arrivals_offered
    if not offered or cell.load.ended_at is None:
        return None
    recorded = int(_stands_for_an_arrival(cell).sum())
    return max(0.0, (offered - recorded) / offered)


def missing_records_share(cell: CellEvidence) -> float | None:
    """Numbers that are missing in the processes' records / numbers given out; each process counts from 0.

    Records lost behind the last one of a process leave no gap: what it says at its end that it wrote tells of them.
    """
    numbers = cell.records.groupby("process", observed=True)["seq"].agg(["max", "nunique"])
    given = {str(process): float(last) + 1.0 for process, last in numbers["max"].items()}
    for process, written in cell.load.records_written.items():
        given[process] = max(given.get(process, 0.0), written)
    total = sum(given.values())
    return (total - float(numbers["nunique"].sum())) / total if total else None


def lost_processes(cell: CellEvidence) -> float | None:
    """Load generator processes that died."""
    return cell.load.processes_lost if cell.load.ended_at is not None else None


def hub_lag_ms(cell: CellEvidence) -> float | None:
    """The event loop's lateness in the worst process; stretches beyond `ACCIDENT_MS` count in `frozen_share`."""
    return _worst_process(cell, lambda health: _hub_lag_of(_values(health, "hub_lag_ms")))


def _hub_lag_of(lags_ms: np.ndarray) -> float | None:
    if not len(lags_ms):
        return None
    usual = lags_ms[lags_ms <= ACCIDENT_MS]
    # Fewer than three seconds prove no lag, but they are figures.
    return typical_worst(usual) if len(usual) >= _OCCURRENCES else float(lags_ms.min())


def frozen_share(cell: CellEvidence) -> float | None:
    """The share of its measured time in which the event loop of the worst process stood still for long."""
    return _worst_process(cell, lambda health: _frozen_of(_values(health, "hub_lag_ms"), cell.window.seconds()))


def _frozen_of(lags_ms: np.ndarray, window_s: float | None) -> float | None:
    if not len(lags_ms):
        return None
    frozen_s = float(lags_ms[lags_ms > ACCIDENT_MS].sum()) / 1000.0
    return min(1.0, frozen_s / (window_s or float(len(lags_ms))))


def cpu_pct(cell: CellEvidence) -> float | None:
    """The p90 of the seconds of the busiest process, in % of one core."""
    return _worst_process(cell, lambda health: _cpu_of(_values(health, "cpu_pct")))


def _cpu_of(values: np.ndarray) -> float | None:
    if not len(values):
        return None
    return float(np.quantile(values, 0.9)) if len(values) >= _OCCURRENCES else float(values.min())


def _values(health: pd.DataFrame, column: str) -> np.ndarray:
    values = floats(health[column])
    return values[~np.isnan(values)]


def _worst_process(cell: CellEvidence, observe: Callable[[pd.DataFrame], float | None]) -> float | None:
    """The largest observation of any process that has figures."""
    health = _measured_health(cell)
    found = [observe(part) for _, part in health.groupby(health["process"].fillna(""))]
    return max((value for value in found if value is not None), default=None)


def has_process_without_health(cell: CellEvidence) -> bool:
    """Whether a process left records and no health figures: it may be the worst one."""
    named = set(cell.health["process"].dropna())
    # Health lines that name no process stand for all.
    return bool(named) and bool(set(cell.records["process"].unique()) - named)


def _measured_health(cell: CellEvidence) -> pd.DataFrame:
    """Health of the measured window, a freeze across its edge included; of the whole cell where it is unknown."""
    ended = floats(cell.health["at"])
    inside = cell.window.covers(ended) | cell.window.covers(ended - floats(cell.health["hub_lag_ms"]) / 1000.0)
    return cell.health[inside] if inside.any() else cell.health


def starved_share(cell: CellEvidence) -> float | None:
    """Attempts for which this machine had no connection left / attempts."""
    return _share_of(flags(cell.records["sent"]), flags(cell.records["error_code"] == Failure.OUT_OF_RESOURCES))


def aborted_share(cell: CellEvidence) -> float | None:
    """Aborted / sent."""
    return _share_of(flags(cell.records["sent"]), flags(cell.records["outcome"] == Outcome.ABORTED))


def wrong_tier_share(cell: CellEvidence) -> float | None:
    """Answers whose tier differs from the one asked for / answers that name theirs."""
    named, moved = moved_tiers(cell.records)
    return _share_of(named, moved)


def samples(cell: CellEvidence) -> float | None:
    """Answers in the measured window."""
    return float(_answered_and_measured(cell).sum())


#: Fewer seconds of health figures than this do not tell a mean.
_FEWEST_SECONDS = 10


def little_share(cell: CellEvidence) -> float | None:
    """How far calls in flight are from rate x time (Little's law), as a share and given the benefit of chance.

    The left side was counted each second by the generator's processes, the right side follows from the records. None
    where messages were retried (in flight counts their backoff, too), and for cells that are short beside their calls.
    """
    seconds, own = cell.window.seconds(), cell.records
    times_s = floats(own["service_e2e_ms"])[_sent_and_measured(cell)] / 1000.0
    times_s = times_s[~np.isnan(times_s)]
    inside = cell.health[cell.window.covers(floats(cell.health["at"]))]
    counted = inside.groupby("process")["in_flight"].agg(["mean", "count"]).dropna()
    if not seconds or not len(times_s) or (own["attempt"] > 1).any() or has_process_without_health(cell):
        return None
    expected, mean_s = float(times_s.sum()) / seconds, float(times_s.mean())
    if not len(counted) or counted["count"].min() < _FEWEST_SECONDS or seconds < 10.0 * mean_s or expected <= 0.0:
        return None
    # Calls in flight vary like a Poisson count, anew every two call times or every second, whichever is longer.
    chance = 3.0 * np.sqrt(expected / (seconds / max(1.0, 2.0 * mean_s))) / expected
    return max(0.0, abs(float(counted["mean"].sum()) / expected - 1.0) - float(chance))


def cache_mixed_share(cell: CellEvidence) -> float | None:
    """The smaller of two shares: answers whose prompt came from the service's cache in part, and all others."""
    tokens = floats(cell.records["cache_read_tokens"])
    cached = _share_of(_answered_and_measured(cell) & ~np.isnan(tokens), tokens > 0.0)
    return None if cached is None else min(cached, 1.0 - cached)


#: So many answers are the first ones; fewer of the others than that many do not tell what is usual.
_FIRST, _FEWEST_OTHERS = 10, 40


def slow_first_share(cell: CellEvidence) -> float | None:
    """The share of the first ten answers that took longer than nine in ten of the others: about 0.1 by chance."""
    answered = _answered_and_measured(cell)
    streamed, whole, started = (
        floats(cell.records[name])[answered] for name in ("service_ttft_ms", "service_e2e_ms", "started_at")
    )
    times_ms = np.where(np.isnan(streamed), whole, streamed)
    in_order = times_ms[np.argsort(started, kind="stable")]
    in_order = in_order[~np.isnan(in_order)]
    if len(in_order) < _FIRST + _FEWEST_OTHERS:
        return None
    return float((in_order[:_FIRST] > np.quantile(in_order[_FIRST:], 0.9)).mean())


def ramp_share(cell: CellEvidence) -> float | None:
    """Ramp and warm-up / their time and the measured time."""
    measured = cell.window.seconds()
    starting = sum(
        phase.ended_at - phase.started_at
        for phase in cell.window.phases
        if phase.ended_at is not None and phase.name in ("ramp", "warmup")
    )
    return starting / (starting + measured) if measured else None
