"""Messages as traces want them: what a trace says of a message, and a sampler's choice for all that it leaves open."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from bedrock.catalog import Catalog, UnknownModelError, default_catalog
from bedrock.tokens import estimate_tokens
from scenarios.arrivals import Wanted
from scenarios.field_types import did_you_mean
from scenarios.problems import hint
from scenarios.prompts import Prompt, PromptLibrary
from scenarios.trace import Trace
from scenarios.traffic import Message


class TypedSampler(Protocol):
    """A sampler that can be asked for a query type; `query_types` is None where any will do."""

    @property
    def query_types(self) -> tuple[str, ...] | None:
        """Names of the query types it knows."""

    def message(self, index: int) -> Message:
        """The message with this number."""

    def message_of_type(self, query_type: str, index: int) -> Message:
        """A message of the type; the same for the same number."""

    def model_for(self, query_type: str | None, complexity: str | None) -> str:
        """Base id of the model that answers."""


class ReplaySampler:
    """A sampler that also makes the messages of some traces; all of these are checked first (TraceError).

    `routing` and `model_id` are the sampler's, where it has them.
    """

    def __init__(self, sampler: TypedSampler, library: PromptLibrary, traces: Sequence[Trace]) -> None:
        self.routing: str | None = getattr(sampler, "routing", None)
        self.model_id: str | None = getattr(sampler, "model_id", None)
        self._sampler = sampler
        self._library = library
        self._by_id = {prompt.id: prompt for prompt in library.prompts}
        self._by_length: dict[str | None, _ByLength] = {}
        for trace in traces:
            for wanted in trace.first_lines:
                self._check(trace, wanted, default_catalog())

    def message(self, index: int) -> Message:
        """The sampler's own message with this number."""
        return self._sampler.message(index)

    def message_as(self, index: int, wanted: Wanted) -> Message:
        """The message with this number as a trace wants it.

        A prompt id chooses the prompt; else input tokens choose the nearest in length of the query type; else it is
        the sampler's next for the query type.
        """
        message = self._with_prompt(self._base(index, wanted), index, wanted)
        return replace(message, model_id=wanted.model_id or message.model_id, max_tokens=wanted.output_tokens)

    def _base(self, index: int, wanted: Wanted) -> Message:
        prompt = self._by_id.get(wanted.prompt_id or "")
        query_type = wanted.query_type or (prompt.query_type if prompt is not None else None)
        if query_type is None or not (wanted.query_type or self._knows(query_type)):
            return self._sampler.message(index)
        return self._sampler.message_of_type(query_type, index)

    def _knows(self, query_type: str) -> bool:
        known = self._sampler.query_types
        return known is None or query_type in known

    def _with_prompt(self, message: Message, index: int, wanted: Wanted) -> Message:
        if wanted.prompt_id is not None:
            prompt = self._by_id[wanted.prompt_id]
        elif wanted.input_tokens is not None:
            prompt = self._nearest(message.query_type, wanted.input_tokens, index)
        else:
            return message
        complexity = prompt.complexity or message.complexity
        return replace(
            message,
            complexity=complexity,
            language=prompt.language,
            prompt_size=prompt.size,
            prompt_id=prompt.id,
            text=prompt.text,
            model_id=self._sampler.model_for(message.query_type, complexity),
        )

    def _nearest(self, query_type: str | None, input_tokens: int, index: int) -> Prompt:
        if query_type not in self._by_length:
            self._by_length[query_type] = _ByLength(self._library.select(None, query_type))
        return self._by_length[query_type].nearest(input_tokens, index)

    def _check(self, trace: Trace, wanted: Wanted, catalog: Catalog) -> None:
        if wanted.prompt_id is not None and wanted.prompt_id not in self._by_id:
            text = f"{self._library.source} has no prompt {wanted.prompt_id[:60]!r}."
            raise trace.problem(wanted, text + did_you_mean(wanted.prompt_id, self._by_id))
        if wanted.query_type is not None and not self._knows(wanted.query_type):
            known = hint(wanted.query_type, self._sampler.query_types or ())
            raise trace.problem(wanted, f"the mix has no query type {wanted.query_type[:60]!r}; {known}")
        if wanted.model_id is not None:
            try:
                catalog.resolve_chat(wanted.model_id)
            except UnknownModelError as error:
                raise trace.problem(wanted, str(error)) from error


class _ByLength:
    """Prompts by their estimated tokens."""

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        self._prompts: dict[int, list[Prompt]] = {}
        for prompt in prompts:
            self._prompts.setdefault(estimate_tokens(prompt.text), []).append(prompt)
        self._lengths = sorted(self._prompts)

    def nearest(self, tokens: int, index: int) -> Prompt:
        """A prompt whose length is nearest, the shorter one of two as near; equally long ones take turns."""
        place = bisect_left(self._lengths, tokens)
        length = min(self._lengths[max(place - 1, 0) : place + 1], key=lambda near: abs(near - tokens))
        alike = self._prompts[length]
        return alike[index % len(alike)]
