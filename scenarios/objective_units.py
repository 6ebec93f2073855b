"""Limits of objectives: how each kind of quantity is written, read and shown."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from scenarios.units import UnitError, parse_duration_s, parse_rate_rps, parse_share

_NUMBER = re.compile(r"^\d{1,3}(?:,\d{3})+(?:\.\d+)?$|^\d+(?:\.\d+)?$")
_MONEY = re.compile(r"^(?:\$|USD)?\s*(?P<number>[\d.,]+)\s*(?:USD)?$", re.IGNORECASE)
_TOKENS = re.compile(r"^(?P<number>[\d.,]+)\s*(?:tokens?)?$", re.IGNORECASE)
_TOKENS_PER_S = re.compile(r"^(?P<number>[\d.,]+)\s*(?:tokens?)?\s*(?:/\s*s)?$", re.IGNORECASE)


class ObjectiveError(ValueError):
    """The objective cannot be understood; the message says what would be."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """Reading and showing limits of one kind."""

    parse: Callable[[str], float]
    format: Callable[[float], str]


def suggestion(given: str, known: Iterable[str]) -> str:
    """` Did you mean x?` where something is close, and what there is."""
    names = list(known)
    close = difflib.get_close_matches(given.lower(), names, n=1, cutoff=0.6)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"{hint} Supported: {', '.join(names)}."


def parse_number(text: str) -> float | None:
    """A plain number, thousands commas allowed; None if it is none."""
    cleaned = text.strip()
    return float(cleaned.replace(",", "")) if _NUMBER.match(cleaned) else None


def format_number(value: float) -> str:
    """The shortest plain decimal that reads back as the same number."""
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _with(pattern: re.Pattern[str], example: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        match = pattern.match(text.strip())
        number = parse_number(match["number"]) if match else None
        if number is None:
            raise ObjectiveError(f"{text!r} is not a limit of this metric: write it like {example}.")
        return number

    return parse


def _or_bare(parse: Callable[[str], float]) -> Callable[[str], float]:
    """Read a bare number as it is (the metric's name carries the unit), anything else by `parse`."""

    def read(text: str) -> float:
        number = parse_number(text)
        if number is not None:
            return number
        try:
            return parse(text)
        except UnitError as error:
            raise ObjectiveError(f"{error}.") from error

    return read


def _milliseconds(text: str) -> float:
    return round(parse_duration_s(text) * 1000.0, 6)


def _share(text: str) -> float:
    try:
        return round(parse_share(text), 12)  # 99.9 % is 0.999, which a division by 100 misses
    except UnitError as error:
        raise ObjectiveError(f"{error}.") from error


def _percent(share: float) -> str:
    return format_number(float(Decimal(repr(share)) * 100)) + "%"


QUANTITIES: Mapping[str, Quantity] = {
    "milliseconds": Quantity(_or_bare(_milliseconds), lambda ms: format_number(ms) + "ms"),
    "tokens": Quantity(_with(_TOKENS, "500 or 1,200 tokens"), format_number),
    "tokens per second": Quantity(_with(_TOKENS_PER_S, "60/s or 60 tokens/s"), lambda rate: format_number(rate) + "/s"),
    "share": Quantity(_share, _percent),
    "rate": Quantity(_or_bare(parse_rate_rps), lambda rate: format_number(rate) + "/s"),
    "money": Quantity(_with(_MONEY, "$0.002 or 50,000 USD"), lambda usd: "$" + format_number(usd)),
}
