"""Numbers as a reader sees them. Missing is an em dash, never 0; one unit per kind of quantity on every page."""

import math

#: Shown where there is no number.
MISSING = "—"


def significant(value: float | None, digits: int = 3) -> str:
    """`1,234`, `12.3`, `0.0123`: `digits` significant digits, but never fewer than the whole number has."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 8)}f}"


def milliseconds(value: float | None) -> str:
    """A latency in ms, without the unit: `38.2`, `412`, `1,530`."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"


def clock(seconds: float) -> str:
    """`2:05` or `1:02:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def percent(share: float | None) -> str:
    """A share as a percentage. Only exactly none is `0 %` and only exactly all is `100 %`; `308 %` is thrice all."""
    if share is None or not math.isfinite(share):
        return MISSING
    if share in (0.0, 1.0):
        return f"{share * 100:.0f} %"
    value = share * 100
    if value >= 100.5:
        return f"{value:,.0f} %"
    if value > 100:
        return f"{max(value, 100.01):.2f} %"
    if value > 99:
        return f"{min(value, 99.99):.2f} %"
    return "< 0.01 %" if 0 < value < 0.01 else f"{value:.2f} %" if abs(value) < 10 else f"{value:.1f} %"


def count(value: float | None) -> str:
    """A whole number with thousands separators."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """Events per second, without the unit."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:,.0f}" if abs(value) >= 1000 else significant(value)


def usd(value: float | None) -> str:
    """Money in USD: cents from one dollar up, four significant digits below (calls cost fractions of a cent)."""
    if value is None or not math.isfinite(value):
        return MISSING
    if abs(value) >= 1000:
        return f"${value:,.0f}"
    return f"${value:,.2f}" if abs(value) >= 1 or value == 0 else f"${significant(value)}"


def signed_percent(points: float | None) -> str:
    """Percentage points or a relative change already in percent, with its sign: `+12.5 %`."""
    return MISSING if points is None or not math.isfinite(points) else f"{points:+,.1f} %"


def unit_of(metric: str) -> str:
    """Unit of a metric by its name, as the contract names them: `ms`, `%`, `USD`, `/s`, `tokens`, or none."""
    if metric.endswith("_ms"):
        return "ms"
    if metric.endswith(("_per_s", "_rps")):
        return "/s"
    if metric.endswith("_usd"):
        return "USD"
    if metric.endswith(("_rate", "_compliance", "_share", "_pct")):
        return "%"
    return "tokens" if metric.endswith("_tokens") else ""


def quantity(metric: str, value: float | None) -> str:
    """A value of `metric` in its unit: `412 ms`, `99.20 %`, `$1.25`, `12.3 /s`."""
    if value is None or not math.isfinite(value):
        return MISSING
    unit = unit_of(metric)
    if unit == "ms":
        return f"{milliseconds(value)} ms"
    if unit == "%":
        return percent(value / 100 if metric.endswith("_pct") else value)
    if unit == "USD":
        return usd(value)
    return f"{rate(value)} {unit}".strip()


def quantity_range(metric: str, low: float, high: float) -> str:
    """`755 – 787 ms`: the unit once."""
    first, last = quantity(metric, low), quantity(metric, high)
    unit = f" {unit_of(metric)}"
    return f"{first.removesuffix(unit)} – {last}"
