"""Bedrock's quotas as Service Quotas lists them: which of an account's quotas belong to a model id.

Quotas have no field for the model: the name says it ("Cross-region model inference tokens per minute for Amazon Nova
Pro"). Names are compared word by word with the catalogue's, without makers and the version 1 that AWS writes or leaves
out. A quota whose name fits no model of the catalogue is nobody's; none is guessed.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from bedrock.catalog import Model

SERVICE_CODE = "bedrock"

_PER_MINUTE = re.compile(
    r"(?P<kind>on-demand|cross-region|global cross-region) model inference (?P<unit>requests|tokens) per minute for "
    r"(?P<model>.+)",
    re.IGNORECASE,
)
_PER_DAY = re.compile(r"model invocation max tokens per day for (?P<model>.+)", re.IGNORECASE)
_REMARK = re.compile(r"\s*\((?:doubled|combined|sum)[^)]*\)")
_WORD = re.compile(r"[a-z0-9.]+")

#: Words that AWS's name of a model has and the catalogue's has not, or the other way round.
_LEFT_OUT = frozenset({"amazon", "anthropic", "meta", "mistral", "ai", "v1", "1.0", "g1", "instruct"})
#: A maker may be in a model's own name; then it stays in both.
_SPELLINGS = {"24.07": "2407"}


@dataclass(frozen=True, slots=True)
class AccountQuota:
    """What an account may ask of a model id: per minute and per day; None where no such quota is listed."""

    rpm: float | None = None
    tpm: float | None = None
    tpd: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether any quota was listed."""
        return (self.rpm, self.tpm, self.tpd) != (None, None, None)


def quota_of(model: Model, prefix: str | None, listed: Iterable[Mapping[str, Any]]) -> AccountQuota:
    """The quotas of a model behind an inference profile prefix (None: its base id).

    `listed` are entries of `ListServiceQuotas` (`QuotaName`, `Value`); what is no such entry is passed over. The
    smallest counts where a name fits twice.
    """
    wanted = name_words(model.name)
    values: dict[str, float] = {}
    for entry in listed:
        unit, named = _read_name(str(entry.get("QuotaName", "")), _kind(prefix))
        value = entry.get("Value")
        if unit is None or name_words(named) != wanted or not _is_number(value):
            continue
        values[unit] = min(float(value), values.get(unit, math.inf))
    return AccountQuota(values.get("requests"), values.get("tokens"), values.get("day"))


def _kind(prefix: str | None) -> str:
    if prefix is None:
        return "on-demand"
    return "global cross-region" if prefix == "global" else "cross-region"


def _read_name(name: str, kind: str) -> tuple[str | None, str]:
    """What a quota limits (`requests`, `tokens`, `day`) and of which model; None where it is not of this kind."""
    bare = _REMARK.sub("", name).strip()
    if match := _PER_MINUTE.fullmatch(bare):
        return (match["unit"].lower() if match["kind"].lower() == kind else None), match["model"]
    match = _PER_DAY.fullmatch(bare)
    return ("day", match["model"]) if match else (None, "")


def name_words(name: str) -> frozenset[str]:
    """The words that tell models apart: AWS's name of a model and the catalogue's have the same."""
    words = frozenset(_SPELLINGS.get(word, word) for word in _WORD.findall(name.lower())) - _LEFT_OUT
    return frozenset(word.removesuffix(".0") for word in words)  # Nova 2 Lite is also called Nova 2.0 Lite


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
