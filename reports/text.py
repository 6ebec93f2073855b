"""Text that came from outside (error messages, names, configuration), made fit for an output file.

Every string of a summary, a run or a record passes through `clean` once, before any template sees it:
terminal escapes and control characters are dropped, account ids and keys masked, the length bounded.
Escaping for HTML, XML or Markdown stays with the writer of that format.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from unicodedata import east_asian_width

from bedrock.outcome import redact

#: Longest string kept; enough for an error message or a command line, far too little to bloat a page.
TEXT_LIMIT = 600

# ECMA-48 terminal sequences: CSI ... final byte, OSC ... BEL or ST, and two-character escapes.
_TERMINAL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|\x9b[0-?]*[ -/]*[@-~]"
)
# C0 and C1 controls, lone surrogates, non-characters (none of them allowed in XML), and the marks that
# reorder or hide text (bidirectional overrides, zero-width characters, byte order mark).
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
_BLANKS = re.compile(r"[\s\u2028\u2029]+")
# What `redact` replaces shrinks to no less than half its length, so this much is always enough to fill the limit.
_MARGIN = 4


def clean(text: str, limit: int = TEXT_LIMIT) -> str:
    """One line of printable text of at most `limit` characters, secrets masked."""
    return redact(_printable(text[: limit * _MARGIN]), limit)


def clean_lines(text: str, limit: int, line_limit: int = 200) -> list[str]:
    """Lines of printable text, secrets masked: at most `limit` lines of `line_limit` characters."""
    head = text[: limit * line_limit * _MARGIN].splitlines()[:limit]
    return [redact(_UNPRINTABLE.sub("", _TERMINAL.sub("", line)).replace("\t", "    "), line_limit) for line in head]


def clean_tree(value: Any, limit: int = TEXT_LIMIT) -> Any:
    """The same structure with every string in it cleaned, keys included."""
    if isinstance(value, str):
        return clean(value, limit)
    if isinstance(value, Mapping):
        return {clean(str(key), limit): clean_tree(item, limit) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [clean_tree(item, limit) for item in value]
    return value


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters: long text loses its middle, since names differ at their ends."""
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def shorten_to_columns(text: str, columns: int) -> str:
    """At most so many columns of a typewriter, of which a Japanese character takes two."""
    width = sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
    return text if width <= columns else shorten(text, max(len(text) * columns // width, 2))


def _printable(text: str) -> str:
    if text.isprintable() and "  " not in text:  # all but a few of a million records
        return text.strip()
    spaced = _BLANKS.sub(" ", _TERMINAL.sub("", text))
    return _BLANKS.sub(" ", _UNPRINTABLE.sub("", spaced)).strip()
