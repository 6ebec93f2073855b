"""The text a model reads, collected in its order, with the cache points in it."""

import hashlib

from bedrock.tokens import TokenTally
from emulator import errors
from emulator.model_request import CachePrefix

#: How long a cached prefix is kept after its last use, by the `ttl` of a cache point.
CACHE_TTLS_S = {"5m": 300.0, "1h": 3600.0}
DEFAULT_CACHE_TTL = "5m"


class PromptText:
    """Everything in one prompt: text by role, and what came before each cache point."""

    def __init__(self) -> None:
        self._tally = TokenTally()
        self._system: list[str] = []
        self._digest = hashlib.sha256()
        self._prefixes: list[CachePrefix] = []

    def add(self, role: str, text: str) -> None:
        """Text that the model reads next."""
        self._tally.add(text)
        if role == "system":
            self._system.append(text)
        # Lengths keep apart what joins to the same text; surrogates can come in as JSON escapes.
        self._digest.update(f"{role}/{len(text)}/{text}".encode("utf-8", "surrogatepass"))

    def cache_point(self, ttl: object = None) -> None:
        """Everything so far may be cached."""
        wanted = DEFAULT_CACHE_TTL if ttl is None else ttl
        ttl_s = CACHE_TTLS_S.get(wanted) if isinstance(wanted, str) else None
        if ttl_s is None:
            raise errors.constraint(
                f"Value '{str(ttl)[:100]}' at 'cachePoint.ttl'",
                f"Member must satisfy enum value set: [{', '.join(CACHE_TTLS_S)}]",
            )
        self._prefixes.append(CachePrefix(self._digest.digest(), self._tally.tokens, ttl_s))

    @property
    def cache_prefixes(self) -> tuple[CachePrefix, ...]:
        """What may be cached, shortest first."""
        return tuple(self._prefixes)

    @property
    def system(self) -> str | None:
        """The system prompt, its blocks joined by line ends as those of a message are; None without one."""
        return "\n".join(self._system) if self._system else None

    @property
    def input_tokens(self) -> int:
        """Tokens of all the text, at least one."""
        return max(1, self._tally.tokens)
