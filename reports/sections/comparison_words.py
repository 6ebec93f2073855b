"""What a comparison says and how it comes to say it, in a sentence each. In full: docs/comparing.md."""

COMPARISON_DEFINITIONS: tuple[tuple[str, str], ...] = (
    ("Regressed, improved", "Worse (better) by at least the threshold, and by more than chance explains."),
    (
        "Within noise",
        "Anything less. The reason says if the change is real but small, or large but not certain, or if there are too "
        "few samples to exclude a change as large as the threshold.",
    ),
    ("Not comparable", "Something else than the service is different, or too few samples. The reason says what."),
    ("Change", "(This run - baseline) / baseline of a latency; the difference in percentage points (pp) of a share."),
    (
        "95 % interval of a change",
        "Latencies: percentile bootstrap of the ratio of both quantiles, wider where neighbouring requests are alike. "
        "Shares: Newcombe's interval. Each is that of its own figure.",
    ),
    (
        "p (Holm)",
        "How likely chance alone would make such a difference, corrected for all figures compared at once: of a page "
        "without any true change, one in twenty shows one.",
    ),
    (
        "Paired distributions",
        "For each time, the share of requests that took at most that long (ECDF), in this run and in the baseline. "
        "Where one line is left of the other, that run was faster.",
    ),
)
