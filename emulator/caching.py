"""The prompt cache of one model, and what a request's cache points do to its usage.

A cache point marks the prompt up to it. Of the marked prefixes that have the model's minimum length, the longest that
the cache holds is read; those beyond it are written, and can be read once the writer's first token is out. A prefix is
kept for its time to live (5 minutes or 1 hour) after its last use. Shorter prefixes are passed over without a word.

What recorded traffic and the documentation say, and this follows: `inputTokens` leaves out what is read and written;
Claude models that can cache report both counts always, Nova only for requests with cache points. Not emulated: reads
of a prefix that the request does not mark itself (Claude looks back over some 20 blocks), and implicit caching.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from bedrock.catalog import Model
from emulator import errors
from emulator.answer import Usage
from emulator.errors import ServiceError
from emulator.model_request import CachePrefix, ModelRequest
from emulator.prompt_text import CACHE_TTLS_S, DEFAULT_CACHE_TTL

MAX_CACHE_POINTS = 4
#: Prefixes kept for one model; beyond them, those that were not used for longest are forgotten.
MAX_ENTRIES = 10_000

_ANTHROPIC = "anthropic"
_DEFAULT_TTL_S = CACHE_TTLS_S[DEFAULT_CACHE_TTL]
_NOT_CACHEABLE = (
    "You invoked an unsupported model or your request did not allow prompt caching. "
    "See the documentation for more information."
)
#: What Converse puts before the words of the model's own checks.
_MODEL_SAYS = "The model returned the following errors: "


@dataclass(frozen=True, slots=True)
class CacheUse:
    """What one request reads from the cache and writes to it; `new` are the prefixes it writes, shortest first."""

    read_tokens: int = 0
    new: tuple[CachePrefix, ...] = ()

    @property
    def write_tokens(self) -> int:
        """Tokens of the longest new prefix beyond what is read."""
        return self.new[-1].tokens - self.read_tokens if self.new else 0


@dataclass(slots=True)
class _Entry:
    ttl_s: float
    available_at: float
    expires_at: float


class PromptCache:
    """Prefixes by their digest. Times are seconds on any one clock."""

    def __init__(self, min_tokens: int, max_entries: int = MAX_ENTRIES) -> None:
        self._min_tokens = min_tokens
        self._max_entries = max_entries
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def use(self, prefixes: Sequence[CachePrefix], now_s: float) -> CacheUse:
        """What a request that starts now reads and is to write; what it reads is kept for its time to live again.

        `prefixes` are in the order of the prompt. A prefix inside the one that is read is used as well.
        """
        eligible = [prefix for prefix in prefixes if prefix.tokens >= self._min_tokens]
        known = [prefix for prefix in eligible if self._is_known(prefix.digest, now_s)]
        for prefix in known:
            self._renew(prefix.digest, now_s)
        read_tokens = known[-1].tokens if known else 0
        return CacheUse(read_tokens, tuple(prefix for prefix in eligible if prefix.tokens > read_tokens))

    def write(self, use: CacheUse, available_at: float) -> None:
        """Take in what a request writes; it can be read from `available_at` on."""
        for prefix in use.new:
            entry = self._entries.get(prefix.digest)
            if entry is None or entry.expires_at <= available_at:
                self._entries[prefix.digest] = _Entry(prefix.ttl_s, available_at, available_at + prefix.ttl_s)
            else:  # another request is writing the same
                entry.available_at = min(entry.available_at, available_at)
                entry.ttl_s = max(entry.ttl_s, prefix.ttl_s)
                entry.expires_at = max(entry.expires_at, available_at + prefix.ttl_s)
            self._entries.move_to_end(prefix.digest)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def _is_known(self, digest: bytes, now_s: float) -> bool:
        entry = self._entries.get(digest)
        if entry is not None and entry.expires_at <= now_s:
            del self._entries[digest]
            return False
        return entry is not None and entry.available_at <= now_s

    def _renew(self, digest: bytes, now_s: float) -> None:
        entry = self._entries[digest]
        entry.expires_at = now_s + entry.ttl_s
        self._entries.move_to_end(digest)


def check_cache_points(prefixes: Sequence[CachePrefix], model: Model, *, is_converse: bool) -> None:
    """Raise the ServiceError that a request with these cache points is answered with, if it is.

    The words for too many points, and for a long-lived prefix after a short-lived one, are Anthropic's; that Nova
    uses the first as well is assumed.
    """
    if not prefixes:
        return
    if model.cache_min_tokens is None:
        raise ServiceError("AccessDeniedException", 403, _NOT_CACHEABLE)
    said_by_model = _MODEL_SAYS if is_converse else ""
    if len(prefixes) > MAX_CACHE_POINTS:
        raise errors.validation(
            f"{said_by_model}A maximum of {MAX_CACHE_POINTS} blocks with cache_control may be provided. "
            f"Found {len(prefixes)}."
        )
    ttls_s = [prefix.ttl_s for prefix in prefixes]
    if model.family != _ANTHROPIC and max(ttls_s) > _DEFAULT_TTL_S:
        raise errors.validation("Extended TTL prompt caching is only supported for Anthropic models")
    if ttls_s != sorted(ttls_s, reverse=True):
        raise errors.validation(
            f"{said_by_model}a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. "
            "Note that blocks are processed in the following order: `tools`, `system`, `messages`."
        )


def usage(request: ModelRequest, model: Model, cached: CacheUse, output_tokens: int) -> Usage:
    """Token counts of an answer; those of the cache None where the service does not report them."""
    input_tokens = request.input_tokens - cached.read_tokens - cached.write_tokens
    is_reported = bool(request.cache_prefixes) or model.family == _ANTHROPIC
    if model.cache_min_tokens is None or not is_reported:
        return Usage(input_tokens, output_tokens)
    return Usage(input_tokens, output_tokens, cached.read_tokens, cached.write_tokens)
