"""Random words that keep prompt caches out."""

from bedrock.tokens import estimate_tokens
from scenarios.nonce import NONCE_TOKENS, nonce


def test_no_two_requests_begin_alike():
    assert len({nonce() for _ in range(1000)}) == 1000


def test_the_plan_counts_the_tokens_that_the_service_will():
    prompt = "Where is my order?"

    assert abs(estimate_tokens(nonce() + prompt) - estimate_tokens(prompt) - NONCE_TOKENS) <= 1
