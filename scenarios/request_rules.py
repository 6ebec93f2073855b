"""Which models take what a request carries: what Bedrock is certain to refuse, and what it may refuse or not do.

Sources: the rules of latency-optimised inference and of prompt caching (reference docs of Bedrock, 2026); the bodies of
InvokeModel have the members that `bedrock.bodies` writes.
"""

from collections.abc import Iterator, Sequence

from bedrock.catalog import Model
from scenarios.model import Request


def refusals(
    request: Request, model: Model, *, api: str, prefix: str | None, regions: Sequence[str], is_arn: bool = False
) -> Iterator[str]:
    """What a model cannot do of a request, each as the rest of a sentence that begins with its name.

    `prefix` is that of the inference profile it is called through, `regions` are those that it is called in; an ARN
    without a prefix may be a profile all the same.
    """
    if request.latency == "optimized" and not (is_arn and prefix is None):
        yield from _latency_refusals(model, prefix, regions)
    if request.cache_system and model.cache_min_tokens is None:
        yield "cannot cache a system prompt"
    if request.stop_sequences and model.family == "llama" and api.startswith("invoke"):
        yield "cannot be given stop sequences through InvokeModel (Converse takes them)"


def _latency_refusals(model: Model, prefix: str | None, regions: Sequence[str]) -> Iterator[str]:
    served = model.optimized_regions_of(prefix)
    if not model.optimized_regions:
        yield "cannot be asked for optimized latency"
    elif not served:
        through = f"the profile {prefix}" if prefix else "the base model id"
        yield f"cannot be asked for optimized latency through {through}"
    elif outside := [region for region in regions if region not in served]:
        yield f"cannot be asked for optimized latency in {', '.join(outside)} (in {', '.join(served)} it can)"


def doubts(request: Request, model: Model, system_tokens: int, api: str) -> Iterator[str]:
    """What a model may refuse or will not do, each as the rest of a sentence that begins with its name."""
    least = model.cache_min_tokens
    if request.cache_system and least is not None and system_tokens < least:
        yield f"caches prompts from {least:,} tokens on: a system prompt of about {system_tokens:,} is not cached"
    if request.system_file and model.family == "titan" and api.startswith("converse"):
        yield "may refuse a system prompt through Converse (InvokeModel has it before the prompt)"
    if model.family == "anthropic" and any(not sequence.strip() for sequence in request.stop_sequences):
        yield "may refuse stop sequences of nothing but white space"
