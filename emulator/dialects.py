"""Which dialect an operation of a model is written in."""

import random

from bedrock.catalog import Model
from emulator import errors
from emulator.converse import ConverseDialect
from emulator.dialect import Dialect
from emulator.frames import Padding
from emulator.operations import Operation


class Dialects:
    """All dialects; the padding of their event frames comes from the given source of random numbers."""

    def __init__(self, rng: random.Random) -> None:
        padding = Padding(rng)
        self._converse = ConverseDialect(padding)

    def of(self, operation: Operation, model: Model) -> Dialect:  # noqa: ARG002 - families come next
        """The dialect of an operation; ServiceError where the model does not have the operation."""
        if operation not in (Operation.CONVERSE, Operation.CONVERSE_STREAM):
            raise errors.unknown_operation(f"This emulator does not serve the operation {operation}.")
        return self._converse
