"""Records in, numbers out: loading, statistics, objectives, validity, cost and the summary; no drawing, no load."""
