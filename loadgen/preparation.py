"""Everything that can be wrong with a test, found before anything is sent."""

import os
from argparse import Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bedrock.catalog import UnknownModelError
from bedrock.credentials import check_credentials
from bedrock.endpoint import Endpoint, EndpointError
from loadgen.options import AWS, DEFAULT_ENDPOINT_URL, LoadOptions, OptionsError, read_options
from loadgen.session import Sampler
from scenarios.prompts import PromptFileError
from scenarios.replayed import ReplaySampler
from scenarios.trace import TraceError
from scenarios.traffic_files import TrafficError

ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"

SamplerFactory = Callable[[LoadOptions], Sampler]


@dataclass(frozen=True, slots=True)
class Preparation:
    """A test that can start: validated options, where calls go, and the messages of each user class."""

    options: LoadOptions
    endpoint: Endpoint
    samplers: dict[type, Sampler]


def resolve_endpoint(options: LoadOptions, host: str | None) -> Endpoint:
    """Where calls go.

    AWS only where `--target aws` says so; otherwise `--endpoint-url`, Locust's host, the SDK's own variable,
    or the emulator's default address, in this order.
    """
    if options.target == AWS:
        return Endpoint(options.region, options.endpoint_url or None)
    url = options.endpoint_url or host or os.environ.get(ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT_URL
    return Endpoint(options.region, url)


def prepare(namespace: Namespace, host: str | None, user_classes: Iterable[Any]) -> Preparation:
    """Validate options, prompts, routing and models; OptionsError has a sentence for each problem."""
    options = read_options(namespace)
    problems: list[str] = []
    samplers: dict[type, Sampler] = {}
    for user_class in user_classes:
        factory: SamplerFactory | None = getattr(user_class, "make_sampler", None)
        if factory is None:
            continue
        try:
            samplers[user_class] = factory(options)
        except (PromptFileError, TraceError, TrafficError, UnknownModelError) as error:
            problems.append(str(error))
            continue
        if options.traces() and not isinstance(samplers[user_class], ReplaySampler):
            text = f"--pattern: {user_class.__name__} has messages of its own and cannot replay a trace"
            problems.append(f"{text}; wrap its sampler with loadgen.users.replaying")
    if problems:
        raise OptionsError(problems)
    return Preparation(options, resolve_endpoint(options, host), samplers)


def check_endpoint(endpoint: Endpoint) -> None:
    """OptionsError if nothing answers at the endpoint, or AWS is meant and there are no credentials."""
    try:
        endpoint.check_reachable()
        check_credentials(endpoint)
    except EndpointError as error:
        hint = "" if endpoint.url is None else " (start one with: python -m emulator)"
        raise OptionsError([f"{error}{hint}"]) from error
