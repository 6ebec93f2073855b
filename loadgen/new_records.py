"""Records as they begin: what is known of an attempt before it is made."""

from dataclasses import dataclass

from bedrock.invocation import InvocationRecord
from loadgen.arrivals import Turn
from loadgen.options import LoadOptions
from scenarios.run_directory import CellDirectory
from scenarios.traffic import Message


@dataclass(frozen=True, slots=True)
class NewRecords:
    """Makes the records of one process in one cell."""

    options: LoadOptions
    cell: CellDirectory
    process: str
    region: str

    def make(self, seq: int, turn: Turn | None, sender: str | None = None) -> InvocationRecord:
        """A record for an attempt; `sender` is the process whose message it is, where that is another."""
        name = sender or self.process
        return InvocationRecord(
            # A run that no orchestrator named is called after its results directory.
            run_id=self.options.run_id or self.cell.path.parent.parent.name,
            cell=self.cell.path.name,
            process=self.process,
            seq=seq,
            message_id=f"{name}-{seq}" if turn is None else message_id(name, turn.index, turn.number),
            phase=None if turn is None else turn.phase,
            intended_at=None if turn is None else turn.intended_at,
            region=self.region,
            api=self.options.api,
            transport=self.options.transport,
            requested_tier=self.options.service_tier,
            max_tokens=self.options.max_tokens,
            session_id=None if turn is None or turn.number is None else f"{name}-c{turn.index}",
            turn=None if turn is None else turn.number,
        )


def message_id(process: str, index: int, number: int | None = None) -> str:
    """The id of the message with this number, or of a later one, with a `number` above 1, of that conversation."""
    later = "" if number in (None, 1) else f"-t{number}"
    return f"{process}-m{index}{later}"


def index_of(message_id: str) -> int | None:
    """The number of a message that stands for an arrival; None without a turn, or for a later one of a conversation."""
    number = message_id.rpartition("-m")[2]
    return int(number) if number.isdecimal() else None


def describe(record: InvocationRecord, message: Message) -> None:
    """What a message is of."""
    record.query_type = message.query_type
    record.complexity = message.complexity
    record.language = message.language
    record.prompt_size = message.prompt_size
    record.prompt_id = message.prompt_id
