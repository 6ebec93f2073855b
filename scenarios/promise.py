"""What the service under test promises and at which scale it works (product definition)."""

#: Messages are to be answered within this.
SLA_S = 3.0

DAILY_MESSAGES = 1_000_000
MONTHLY_COST_LIMIT_USD = 50_000.0
