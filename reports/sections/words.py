"""Definitions: what each number means, in a sentence."""

#: Term -> definition, in the order a reader meets them. Formulas in full: docs/metrics.md.
DEFINITIONS: tuple[tuple[str, str], ...] = (
    ("Intended start", "When the schedule said a call was due. Closed loop: when the user sent it."),
    ("TTFT", "Time to first token: first non-empty text or reasoning delta minus the intended start."),
    ("First answer", "First non-empty answer text minus the intended start; later than TTFT where a model reasons."),
    ("Whole response", "End of the stream (or body) minus the intended start."),
    ("Service TTFT, service response", "The same from the actual send: what the service alone took."),
    ("Send lag", "Actual send minus intended start: what the load generator added."),
    ("TPOT", "(Last token - first token) / (output tokens - 1), from the service's own token count."),
    ("Inter-chunk gap", "Time between consecutive content events; a chunk holds several tokens."),
    ("Throttled", "Attempts refused by a quota (429, also inside a stream) / attempts."),
    ("Errors", "Attempts that are neither ok, throttled, cut off by the end nor dropped / attempts."),
    ("In SLA", "Messages answered within the SLA / messages; failures and drops are misses, cut-off ones left out."),
    ("Goodput", "Messages a second that met the SLA and every per-request objective."),
    ("Offered, sent", "Arrivals a second that were due, and those that were sent."),
    ("Dropped", "Arrivals that no free slot took in time: the generator's fault, never the service's."),
    (
        "Measured window",
        "All phases but ramp, warm-up and drain. Latencies and rates cover it; counts and cost cover all.",
    ),
    (
        "Percentile",
        "Linear interpolation on the raw values; 95 % interval exact (binomial on order statistics). A dash where "
        "there are too few values for an interval with two ends.",
    ),
    ("Margin", "Room left to the limit in percent of the limit; negative is beyond it."),
    (
        "Cost",
        "Tokens the service reported x price of model, tier and cache class. Not the bill: taxes, free tiers apply.",
    ),
)
