"""Which dialect an operation of a model is written in."""

import random
from collections.abc import Mapping

from bedrock.catalog import Model
from emulator import errors
from emulator.converse import ConverseDialect
from emulator.dialect import Dialect
from emulator.families.anthropic import AnthropicDialect
from emulator.families.embeddings import TitanEmbeddingsDialect
from emulator.families.llama import LlamaDialect
from emulator.families.mistral import MistralDialect
from emulator.families.nova import NovaDialect
from emulator.families.titan import TitanDialect
from emulator.frames import Padding
from emulator.operations import Operation


class Dialects:
    """All dialects; the padding of their event frames comes from the given source of random numbers."""

    def __init__(self, rng: random.Random) -> None:
        padding = Padding(rng)
        self._converse = ConverseDialect(padding)
        self._families: Mapping[str, Dialect] = {
            "anthropic": AnthropicDialect(padding),
            "nova": NovaDialect(padding),
            "llama": LlamaDialect(padding),
            "mistral": MistralDialect(padding),
            "titan": TitanDialect(padding),
            "titan_embeddings": TitanEmbeddingsDialect(padding),
        }

    def of(self, operation: Operation, model: Model) -> Dialect:
        """The dialect of an operation; ServiceError where the model does not have the operation."""
        if operation in (Operation.CONVERSE, Operation.CONVERSE_STREAM):
            if not model.is_chat:
                raise errors.unsupported_action()
            return self._converse
        if operation.is_streamed and not model.is_chat:
            raise errors.unsupported_streaming()
        dialect = self._families.get(model.family)
        if dialect is None:
            raise errors.validation(f"This emulator knows no InvokeModel bodies of {model.id}: use Converse.")
        return dialect
