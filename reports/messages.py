"""The messages whose latencies are drawn as distributions, and those that have none: nothing is left out unsaid."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.metrics import latency_population
from analysis.records import flags, floats
from bedrock.outcome import Outcome
from reports.material import Material

#: Columns that divide the messages, by the name of the dimension on the page.
GROUP_COLUMNS = {"tier": "service_tier", "size": "prompt_size", "model": "model"}
LATENCIES = ("ttft_ms", "e2e_ms", "service_ttft_ms", "service_e2e_ms")
TOKENS = ("input_tokens", "output_tokens")

#: Logarithmic axes cannot show 0: shorter latencies are drawn as this.
FLOOR_MS = 0.01


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages of the measured window.

    `answered` has a row per message that latency statistics cover: the group columns (categories), latencies (ms, at
    least `FLOOR_MS`, NaN where there is none) and token counts (NaN where not reported). `unanswered` has the group
    columns of those that failed, were throttled or were dropped. `cut_off` counts those that the end of the test cut.
    """

    answered: pd.DataFrame
    unanswered: pd.DataFrame
    cut_off: int
    with_failures: bool

    @property
    def unanswered_share(self) -> float | None:
        """Messages without a latency / messages; None without a message."""
        return share_of(len(self.unanswered), len(self.answered))


def share_of(lost: int, kept: int) -> float | None:
    """`lost` of all, as a fraction; None where there is none at all."""
    return lost / (lost + kept) if lost + kept else None


def messages(material: Material) -> Messages:
    """The messages of a run, as its latency statistics have them (`include_failures` counts failed ones in)."""
    records, with_failures = material.records, material.run.get("include_failures") is True
    covered = latency_population(records, with_failures)
    judged = flags(records["measured"]) & flags(records["answerable"])
    cut_off = flags(records["measured"]) & flags(records["outcome"] == Outcome.ABORTED)
    groups = pd.DataFrame({name: _categories(records[name]) for name in GROUP_COLUMNS.values()})
    numbers = {name: floats(records[name])[covered] for name in (*LATENCIES, *TOKENS)}
    clipped = {name: np.maximum(numbers[name], FLOOR_MS) for name in LATENCIES}
    answered = groups[covered].reset_index(drop=True).assign(**(numbers | clipped))
    unanswered = groups[judged & ~covered].reset_index(drop=True)
    return Messages(answered, unanswered, int(cut_off.sum()), with_failures)


def _categories(column: "pd.Series[Any]") -> pd.Categorical:
    """The texts of a column as numbers, made once: every chart divides the messages by them."""
    codes, texts = pd.factorize(column)
    return pd.Categorical.from_codes(codes, categories=pd.Index([str(text) for text in texts], dtype="str"))
