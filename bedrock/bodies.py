"""Request bodies per API."""

from typing import Any

from bedrock.invocation import Invocation

#: APIs this version can call, by the name a scenario uses.
APIS = ("converse_stream", "converse")


def converse_arguments(invocation: Invocation) -> dict[str, Any]:
    """Members of a Converse or ConverseStream request (one user turn).

    The service tier is an object here, `{"type": ...}`; InvokeModel takes it as a header.
    """
    arguments: dict[str, Any] = {
        "modelId": invocation.model_id,
        "messages": [{"role": "user", "content": [{"text": invocation.prompt}]}],
        "inferenceConfig": {"maxTokens": invocation.max_tokens},
    }
    if invocation.system is not None:
        arguments["system"] = [{"text": invocation.system}]
    if invocation.service_tier is not None:
        arguments["serviceTier"] = {"type": invocation.service_tier}
    return arguments
