"""Random words that begin a request, so that no prompt cache can answer any part of it."""

import secrets

from bedrock.tokens import estimate_tokens

_GROUPS = 4


def nonce() -> str:
    """A line that no other request has: 16 random digits in groups of four, such as real references have.

    It is not drawn by the seed: a second run of the same scenario within minutes must not find the first one's prompts
    in a cache. Caches compare prompts from their beginning (prefixes), so it has to stand before everything else.
    """
    groups = (f"{secrets.randbelow(10_000):04d}" for _ in range(_GROUPS))
    return f"[request {' '.join(groups)}]\n\n"


#: Estimated tokens of a nonce (`bedrock.tokens`).
NONCE_TOKENS = estimate_tokens(nonce())
